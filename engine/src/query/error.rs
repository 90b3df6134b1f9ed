//! What is said of a text that is no query.

/// Why a text is no query, for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What is wrong, where, and what to write instead: `…, at character 17: …`.
    pub message: String,
    /// The place as an offset in bytes; none if it is the whole text.
    pub at: Option<usize>,
}

/// What a [`QueryError`] is made of, where the whole text is not at hand.
#[derive(Debug)]
pub(super) struct Problem {
    at: Option<usize>,
    what: String,
    advice: String,
}

impl Problem {
    pub(super) fn new(
        at: impl Into<Option<usize>>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            at: at.into(),
            what: what.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn of(self, text: &str) -> QueryError {
        let place = match self.at {
            None => String::new(),
            Some(at) if at >= text.trim_end().len() => ", at the end".to_owned(),
            Some(at) => {
                let before = text.get(..at).unwrap_or_default();
                format!(", at character {}", before.chars().count() + 1)
            }
        };
        QueryError {
            message: format!("{}{place}: {}", self.what, self.advice),
            at: self.at,
        }
    }
}
