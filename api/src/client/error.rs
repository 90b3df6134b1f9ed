//! Why a client has no answer, or not the one it hoped for.

use std::fmt;

use serde::Deserialize;
use worker::{
    definition::{DecodeError, EncodeError, WorkflowDefinition},
    error::Fails,
};

/// Why a request has no effect that is known of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused it.
    #[error("{message}")]
    Refused {
        /// The stable code; `docs/errors` has a page for each.
        code: String,
        /// What is wrong.
        message: String,
        /// What to do, where the message does not say it.
        advice: Option<String>,
    },
    /// Nobody answered.
    #[error("cannot reach {address}: {problem}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the network said.
        problem: String,
    },
    /// Who answered is no coreason.
    #[error("{address} did not answer like coreason: {problem}")]
    Answer {
        /// Where.
        address: String,
        /// What was odd.
        problem: String,
    },
    /// The text is no address.
    #[error(
        "`{given}` is no address of an engine; write it as http://host:port{tls}",
        given = .0, tls = if .0.starts_with("https:") { ", without TLS" } else { "" }
    )]
    Address(String),
    /// An argument or a message can't be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The result is not what the workflow's type says.
    #[error(transparent)]
    Decode(DecodeError),
}

impl Error {
    /// Returns the engine's code, if it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Says whether it was refused by one who could not begin with it, so that it had no effect, and may work in a moment.
    pub(super) fn was_before_its_time(&self) -> bool {
        matches!(self.code(), Some("STARTING" | "NOT_OWNER"))
    }

    /// Says whether it had no effect, this time.
    pub(super) fn is_undone(&self) -> bool {
        self.code().is_some_and(crate::error::is_undone)
    }

    /// Says whether the same request may work in a moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "STARTING"
                    | "NOT_OWNER"
                    | "UNAVAILABLE"
                    | "DATABASE_UNREACHABLE"
                    | "DATABASE_FAILED"
            ),
            _ => false,
        }
    }
}

/// What an engine says when it refuses.
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) error: Refusal,
}

#[derive(Deserialize)]
pub(super) struct Refusal {
    code: String,
    message: String,
    advice: Option<String>,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code,
            message: refusal.message,
            advice: refusal.advice,
        }
    }
}

/// Why there is no result.
pub enum NoResult<W: WorkflowDefinition> {
    /// The workflow ended otherwise than by returning: the error that a parent of it would get.
    Workflow(<W::Error as Fails>::AtChild),
    /// It was not started, or nobody could be asked.
    Client(Error),
}

impl<W: WorkflowDefinition> From<Error> for NoResult<W> {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl<W: WorkflowDefinition> fmt::Display for NoResult<W>
where
    <W::Error as Fails>::AtChild: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<W: WorkflowDefinition> fmt::Debug for NoResult<W>
where
    <W::Error as Fails>::AtChild: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(error) => f.debug_tuple("Workflow").field(error).finish(),
            Self::Client(error) => f.debug_tuple("Client").field(error).finish(),
        }
    }
}

impl<W: WorkflowDefinition> std::error::Error for NoResult<W>
where
    <W::Error as Fails>::AtChild: fmt::Debug + fmt::Display,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Workflow(_) => None,
            Self::Client(error) => error.source(),
        }
    }
}
