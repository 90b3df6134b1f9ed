//! Why a server did not do what it was asked to.

use serde::Deserialize;

/// Why a server did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address makes no sense.
    #[error("{0}")]
    Address(String),
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The server can't be reached: nothing was sent.
    #[error("cannot reach {address}: {problem}")]
    Unreachable { address: String, problem: String },
    /// The server may have done what it was asked to.
    #[error("{address} gave no answer: {problem}")]
    Unanswered { address: String, problem: String },
    /// The answer is not ours.
    #[error("{address} did not answer like coreason: {problem}")]
    Answer { address: String, problem: String },
}

/// What the server says when it refuses.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
    pub(crate) owner: Option<String>,
}

impl Refusal {
    /// Says whether the words of the command make no sense: no state of the server makes them right.
    fn is_of_words(&self) -> bool {
        matches!(
            self.code.as_str(),
            "INVALID_ID" | "INVALID_RUN_ID" | "INVALID_QUERY"
        )
    }
}

impl Error {
    /// Says which workflow it is about, where the server's words are about a run that was named.
    pub(super) fn of(mut self, path: &[&str]) -> Self {
        if let (Self::Refused(refusal), [_, workflow_id, ..]) = (&mut self, path)
            && refusal.code == "WORKFLOW_CLOSED"
        {
            refusal.message = format!("workflow {workflow_id}: {}", refusal.message);
        }
        self
    }

    /// Returns the stable code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Address(_) => "USAGE",
            Self::Refused(refusal) => &refusal.code,
            Self::Unreachable { .. } | Self::Unanswered { .. } => "UNREACHABLE",
            Self::Answer { .. } => "ANSWER_NOT_UNDERSTOOD",
        }
    }

    /// Returns what the user can do, where the message does not say it.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Refused(refusal) => refusal.advice.as_deref(),
            Self::Unreachable { .. } => {
                Some("start one with `coreason dev`, or name yours with --address")
            }
            Self::Unanswered { .. } => {
                Some("what it was to change it may have changed: look before you ask again")
            }
            Self::Answer { .. } => {
                Some("look at what runs there, or name another address with --address")
            }
        }
    }

    /// Says whether the words of the command make no sense.
    pub(crate) fn is_of_words(&self) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Refused(refusal) => refusal.is_of_words(),
            Self::Unreachable { .. } | Self::Unanswered { .. } | Self::Answer { .. } => false,
        }
    }
}
