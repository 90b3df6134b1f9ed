//! Why the demo could not run, or what it found.

use std::io;

use crate::shutdown::NoSignals;

/// Why the demo could not run, or what it found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The folder can't be read.
    #[error("{0} is no folder that can be read; name one as in `coreason demo FOLDER`")]
    NoFolder(String),
    /// The machine refused something.
    #[error("cannot {doing}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
    /// A command that the result is checked against failed.
    #[error("{command} failed: {problem}")]
    Command {
        command: &'static str,
        problem: String,
    },
    /// The server ended.
    #[error("the server ended with {status}; its log ends with:\n{log}")]
    ServerEnded { status: String, log: String },
    /// The server does not get ready.
    #[error("the server did not get ready; its log ends with:\n{log}")]
    ServerNotReady { log: String },
    /// There is no Postgres to kill.
    #[error("the data directory names no postmaster")]
    NoPostmaster,
    /// The workflow did not return.
    #[error("the workflow ended as {0}")]
    NotCompleted(String),
    /// The result or the histories are not what they must be.
    #[error("{0} of the checks failed")]
    Wrong(usize),
    /// The machine gives no signals.
    #[error(transparent)]
    Signals(#[from] NoSignals),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] crate::postgres::Error),
    /// The engine's audit.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The database could not be looked at.
    #[error(transparent)]
    Audit(#[from] crate::audit::Error),
    /// The server refused or is gone.
    #[error(transparent)]
    Server(#[from] crate::rest_client::Error),
}

impl Error {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::NoFolder(_) => "DEMO_NO_FOLDER",
            Self::Io { .. } | Self::Signals(_) => "DEMO_IO_FAILED",
            Self::Command { .. } => "DEMO_COMMAND_FAILED",
            Self::ServerEnded { .. } | Self::ServerNotReady { .. } | Self::NoPostmaster => {
                "DEMO_SERVER_FAILED"
            }
            Self::NotCompleted(_) => "DEMO_NOT_COMPLETED",
            Self::Wrong(_) => "DEMO_WRONG",
            Self::Interrupted => "INTERRUPTED",
            Self::Postgres(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Audit(error) => error.code(),
            Self::Server(error) => error.code(),
        }
    }

    /// Wraps an I/O error with what was being done.
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
