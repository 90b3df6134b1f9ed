//! What the parts of a member share beside messages.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize},
    },
    time::Duration,
};

use history::Timestamp;
use tokio::sync::{Notify, watch};

use crate::{progress::Progress, store::Term};

/// What the parts of a member share beside messages.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// Open runs that started before this moment (microseconds) have a row in `open_run`. Raised by the owner, written with the lease.
    pub(crate) open_since: Arc<AtomicI64>,
    /// Shards that are folded and accounted for, and not known to be so in the database.
    folded: Arc<Mutex<Vec<i16>>>,
    /// How many shards are served here.
    pub(crate) served: Arc<AtomicUsize>,
    /// Where the other members are. Said before the owner knows of them.
    pub(crate) others: Arc<watch::Sender<Vec<Arc<str>>>>,
    /// There are no other members. Said before anything goes to one.
    pub(crate) alone: Arc<AtomicBool>,
    /// Another member gives the same address as this one.
    pub(crate) crowded: Arc<AtomicBool>,
    /// The owner has no memory for more.
    pub(crate) full: Arc<AtomicBool>,
    /// Whether what is to be committed gets there.
    pub(crate) progress: Arc<Progress>,
    /// Something has changed.
    pub(crate) look: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(open_since: Timestamp) -> Self {
        Self {
            open_since: Arc::new(AtomicI64::new(open_since.0)),
            folded: Arc::default(),
            served: Arc::default(),
            others: Arc::default(),
            alone: Arc::default(),
            crowded: Arc::default(),
            full: Arc::default(),
            progress: Arc::default(),
            look: Arc::default(),
        }
    }

    /// Returns the shards that are folded once `open_since`, read after this, is written.
    pub(crate) fn folded(&self) -> Vec<i16> {
        self.lock_folded().clone()
    }

    /// Notes that the database knows of these.
    pub(crate) fn forget_folded(&self, shards: &[i16]) {
        self.lock_folded().retain(|shard| !shards.contains(shard));
    }

    pub(super) fn lock_folded(&self) -> MutexGuard<'_, Vec<i16>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A membership, and how long its row is good for without a renewal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) term: Term,
    pub(crate) expiry: Duration,
}
