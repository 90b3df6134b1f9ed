//! How a batch ended.

use foldhash::HashSet;
use history::RunId;
use tokio_postgres::error::{Severity, SqlState};

use crate::store::{
    Error,
    sqlstate::{FENCED, LOCK_NOT_AVAILABLE, QUERY_CANCELED},
};

/// How a batch ended that did not fail.
#[derive(Debug, Default)]
pub struct Conflicts(
    /// The runs that were not started, because their id means another run than the owner knew. Nothing of their items was written.
    pub HashSet<RunId>,
);

/// Why a batch has no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCommitted {
    /// Another process owns the slot. Nothing was written.
    #[error("another process owns the slot")]
    Fenced,
    /// The database refuses the data of some item. Nothing was written.
    #[error("the database refuses the data: {0}")]
    Poison(String),
    /// The database failed at this batch as it may at a single row: at damage where that row is to go, at somebody's trigger, by
    /// running out of time. Nothing was written.
    #[error("the database failed at the batch")]
    Doubtful(#[source] Error),
    /// Another session keeps a lock that the batch waits for: of a row of it, or of a table. Nothing was written.
    #[error("another session keeps a lock that the batch waits for")]
    Locked(#[source] Error),
    /// Nothing was written, and the same batch may succeed when tried again.
    #[error("the batch failed")]
    TryAgain(#[source] Error),
    /// Nobody knows whether it was committed.
    #[error("the answer was lost")]
    Unknown(#[source] Error),
}

impl NotCommitted {
    /// Says what an error of a batch means.
    pub(super) fn judged(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            return Self::Unknown(error.into());
        };
        if matches!(
            answer.parsed_severity(),
            Some(Severity::Fatal | Severity::Panic)
        ) || answer.code() == &SqlState::ADMIN_SHUTDOWN
        {
            return Self::Unknown(error.into());
        }
        match answer.code().code() {
            // It took longer than a batch may.
            QUERY_CANCELED => return Self::Doubtful(error.into()),
            // It waited for a lock for longer than a batch does.
            LOCK_NOT_AVAILABLE => return Self::Locked(error.into()),
            FENCED => return Self::Fenced,
            _ => {}
        }
        match answer.code().code().get(..2) {
            // Classes of SQLSTATE that speak of data.
            Some("22" | "23" | "54") => Self::Poison(answer.message().to_owned()),
            // Of the connection, the transaction, other transactions, resources, the server, and a table or a right that is missing: no
            // fault of any row.
            Some("08" | "25" | "28" | "3D" | "40" | "42" | "53" | "55" | "57") => {
                Self::TryAgain(error.into())
            }
            _ => Self::Doubtful(error.into()),
        }
    }
}
