//! What somebody was told who waits.

use std::collections::HashSet;

use super::sentence::Problem;

/// What somebody was told who waits: each reason once, not each attempt that it ends.
#[derive(Default)]
pub(crate) struct Told(HashSet<(String, String, String)>);

impl Told {
    /// Returns the messages of those problems of a workflow that have not been told yet.
    pub(crate) fn news(&mut self, workflow_id: &str, problems: Vec<Problem>) -> Vec<String> {
        let mut news = Vec::new();
        for problem in problems {
            let reason = (workflow_id.to_owned(), problem.about, problem.reason);
            if self.0.insert(reason) {
                news.push(problem.message);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_of_each_workflow_whichever_attempt_it_ends() {
        let problem = |reason: &str, message: &str| Problem {
            about: "workflow task".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let mut told = Told::default();
        let problems = vec![problem("a", "attempt 1: a"), problem("b", "attempt 2: b")];
        assert_eq!(told.news("w", problems), ["attempt 1: a", "attempt 2: b"]);
        let again = || vec![problem("a", "attempt 3: a")];
        assert!(told.news("w", again()).is_empty());
        assert_eq!(told.news("other", again()), ["attempt 3: a"]);
    }
}
