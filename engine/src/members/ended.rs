//! Why a time as a member ends.

use std::{sync::Arc, time::Duration};

use crate::{committer, innermost, store};

/// Why a tenure ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("nothing more can be committed")]
    Committer(#[from] committer::Lost),
    #[error("the lease was lost to another process")]
    Lease,
    #[error("the database was silent for so long that the lease may have ended")]
    Silent,
    #[error("a part of the engine panicked: {0}")]
    Panicked(String),
}

impl Ended {
    /// Returns what came instead of an answer of the database, if that was why.
    pub(crate) fn away(&self) -> Option<Arc<str>> {
        use store::Error as E;
        match self {
            // It has answered, and does not go on because of somebody else.
            Self::Store(error) if error.is_of_a_wait() => None,
            Self::Store(
                error @ (E::Driver(_)
                | E::Sqlx(_)
                | E::NoConnection
                | E::Unreachable { .. }
                | E::Refused { .. }
                | E::Silent
                | E::Tls { .. }
                | E::Standby(_)
                | E::Replaced(_)),
            ) => Some(innermost(error).into()),
            Self::Silent => Some(innermost(self).into()),
            Self::Store(_) | Self::Committer(_) | Self::Lease | Self::Panicked(_) => None,
        }
    }
}

/// Waits for the database, but not for ever: a connection may be half gone.
pub(crate) async fn answered<T>(
    limit: Duration,
    answer: impl Future<Output = T>,
) -> Result<T, Ended> {
    tokio::time::timeout(limit, answer)
        .await
        .map_err(|_elapsed| Ended::Silent)
}
