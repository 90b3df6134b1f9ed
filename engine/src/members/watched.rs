//! The wait for the lock of the member that is watched.

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::store::{self, Session};

/// The wait for another member's lock.
pub(super) struct Watched {
    pub(super) member: Uuid,
    pub(super) locked: BoxFuture<'static, Result<Box<dyn Session>, store::Error>>,
}

pub(super) async fn lock(watching: &mut Option<Watched>) -> Result<Box<dyn Session>, store::Error> {
    match watching {
        Some(watching) => (&mut watching.locked).await,
        None => std::future::pending().await,
    }
}
