//! How statements fail.

use std::borrow::Cow;

use crate::store::{Error, sqlstate::LOCK_NOT_AVAILABLE};

/// Returns what a statement is answered with that fails.
pub(super) fn failed() -> Error {
    Error::Sqlx(sqlx::Error::PoolTimedOut)
}

/// What the server answers to one who has waited too long for a lock.
#[derive(Debug, thiserror::Error)]
#[error("canceling statement due to lock timeout")]
pub(super) struct LockTimeout;

impl sqlx::error::DatabaseError for LockTimeout {
    fn message(&self) -> &'static str {
        "canceling statement due to lock timeout"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(LOCK_NOT_AVAILABLE.into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}
