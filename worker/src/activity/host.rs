//! The attempts that run on this worker.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use history::{
    Failure,
    task::{ActivityTask, ActivityTaskAnswer, ActivityTaskToken, Answers, FromWorker},
};
use tokio::{
    runtime::Handle,
    time::{self, MissedTickBehavior},
};

use super::{
    attempt::{Attempt, Entry},
    dependencies::Dependencies,
    home::{Home, Key},
    running::{Running, Told, failed, left},
};
use crate::{
    error::application,
    panics::{self, panic_failure},
};

/// The activities of a worker, by name.
pub(crate) type Activities = HashMap<&'static str, Entry>;

/// How many attempts are named in a line of the log.
const NAMED_MAX: usize = 10;
/// An attempt that runs on for so long after it was canceled, or is over, is worth a line in the log: its slot is lost until it ends.
pub(super) const OVERDUE_AFTER: Duration = Duration::from_secs(30);
/// How often that is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts attempts, cancels them, and knows which are still running.
pub(crate) struct Host {
    activities: Activities,
    home: Arc<Home<Running>>,
    leaving: AtomicBool,
}

impl Host {
    pub(crate) fn new(
        activities: Activities,
        dependencies: Dependencies,
        runtime: Handle,
        answers: Answers,
    ) -> Self {
        Self {
            activities,
            home: Arc::new(Home::new(dependencies, runtime, answers)),
            leaving: AtomicBool::new(false),
        }
    }

    /// Starts an attempt.
    pub(crate) fn start(&self, task: Box<ActivityTask>) {
        let Some(entry) = self.activities.get(task.activity_type.as_str()) else {
            let failure = Box::new(self.unknown(&task));
            failed(&task, &failure);
            self.home.answers.send(FromWorker::ActivityTask {
                token: task.token,
                answer: ActivityTaskAnswer::Failed { failure },
            });
            return;
        };
        let key = Key::of(&task.token);
        let running = Arc::new(Running::new(task, self.home.clone()));
        self.home.running().insert(key, running.clone());
        if self.leaving.load(Ordering::Relaxed) {
            tell_leaving(&running);
        }
        let begun = panics::catch(|_| false, || (entry.run)(Attempt::new(running.clone())));
        if let Err(panic) = begun {
            running.fail(Box::new(panic_failure(panic)));
        }
    }

    /// Tells an attempt that it is canceled.
    pub(crate) fn cancel(&self, token: &ActivityTaskToken) {
        let running = self.home.running().get(&Key::of(token)).cloned();
        if let Some(running) = running {
            running.tell(Told::Canceled);
        }
    }

    /// Sends what an attempt has said in a heartbeat that waits for its time.
    pub(crate) fn flush(&self, token: &ActivityTaskToken) {
        let running = self.home.running().get(&Key::of(token)).cloned();
        if let Some(running) = running {
            running.flush_heartbeats();
        }
    }

    /// Waits until no attempt runs.
    pub(crate) async fn idle(&self) {
        self.home.idle().await;
    }

    fn all(&self) -> Vec<Arc<Running>> {
        self.home.running().values().cloned().collect()
    }

    /// Tells the attempts that the worker leaves, those too that are still to begin.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        for running in self.all() {
            tell_leaving(&running);
        }
    }

    /// Looks for attempts that run on although they are over, for ever.
    pub(crate) async fn watch(&self) -> Infallible {
        let mut looks = time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some((slots, overdue)) = self.overdue(Instant::now()) {
                tracing::warn!(
                    slots,
                    "attempts of activities were canceled, or their time is over, and their code runs on and keeps its slots: {overdue}. Code that \
                     blocks needs timeouts of its own; code that takes the context watches for its cancellation"
                );
            }
        }
    }

    /// Returns how many attempts run on although they are over, and names those that were not named before, if there are any.
    fn overdue(&self, now: Instant) -> Option<(usize, String)> {
        let mut overdue = self.all();
        overdue.retain(|running| running.is_overdue(now, OVERDUE_AFTER));
        let slots = overdue.len();
        overdue.sort_by_key(|running| running.received_at);
        overdue.retain(|running| !running.is_named());
        // The next look names the next ones.
        overdue.truncate(NAMED_MAX);
        for running in &overdue {
            running.note_named();
        }
        Some((slots, named(overdue)?))
    }

    /// Names the attempts that run, if there are any.
    pub(crate) fn names(&self) -> Option<String> {
        named(self.all())
    }

    /// Cancels all attempts and answers for them, so that they are repeated elsewhere without waiting for a timeout.
    pub(crate) fn give_up(&self) {
        for running in self.all() {
            running.fail(Box::new(left()));
            running.tell(Told::GivenUp);
        }
    }

    fn unknown(&self, task: &ActivityTask) -> Failure {
        let mut names: Vec<&str> = self.activities.keys().copied().collect();
        names.sort_unstable();
        application(
            format!(
                "this worker has no activity `{}`; it has {}",
                task.activity_type,
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ),
            "ActivityNotRegistered".to_owned(),
        )
    }
}

/// Names attempts, the oldest first, if there are any.
fn named(mut running: Vec<Arc<Running>>) -> Option<String> {
    running.sort_by_key(|running| running.received_at);
    let mut names: Vec<String> = running
        .iter()
        .take(NAMED_MAX)
        .map(|running| {
            let (task, token) = (&running.task, &running.task.token);
            format!(
                "`{}` of workflow {} (attempt {}, for {:.1?})",
                task.activity_type,
                token.workflow_id,
                token.attempt,
                running.received_at.elapsed()
            )
        })
        .collect();
    if running.len() > NAMED_MAX {
        names.push(format!("{} more", running.len() - NAMED_MAX));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Tells an attempt that the worker leaves; one that is the last only when the time to finish is over.
fn tell_leaving(running: &Running) {
    if !running.is_last() {
        running.tell(Told::Leaving);
    }
}

#[cfg(test)]
mod tests {
    use history::Payloads;

    use super::{super::heartbeat::tests::task, *};

    #[tokio::test]
    async fn attempts_that_run_on_although_they_are_over_are_named_once() {
        let host = Arc::new(Host::new(
            HashMap::new(),
            Dependencies::default(),
            Handle::current(),
            Answers::new(|_| true),
        ));
        let begin = |attempt| {
            let mut task = Box::new(task());
            task.token.attempt = attempt;
            let running = Arc::new(Running::new(task, host.home.clone()));
            let key = Key::of(&running.task.token);
            host.home.running().insert(key, running.clone());
            running
        };
        let (first, _second) = (begin(1), begin(2));
        host.cancel(&first.task.token);
        let later = Instant::now() + OVERDUE_AFTER;

        assert!(host.overdue(Instant::now()).is_none());
        let (slots, names) = host.overdue(later).unwrap();
        assert_eq!(slots, 1);
        assert!(names.contains("`a` of workflow w (attempt 1"), "{names}");
        assert!(host.overdue(later).is_none());
        first.complete(Payloads::default());
        let third = begin(3);
        host.cancel(&third.task.token);
        let later = Instant::now() + OVERDUE_AFTER;
        // As many as before, and another one.
        assert!(host.overdue(later).unwrap().1.contains("attempt 3"));
    }
}
