//! What is sealed of deletions.

use history::{Timestamp, chain::Hash};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What a row of `tombstone` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) id: Uuid,
    pub(crate) namespace: i16,
    pub(crate) at: Timestamp,
    pub(crate) reason: i16,
    pub(crate) runs: i32,
    pub(crate) closed_from: Timestamp,
    pub(crate) closed_until: Timestamp,
    pub(crate) events: i64,
    pub(crate) bytes: i64,
    /// Over the runs and the heads of their chains.
    pub(crate) hash: Vec<u8>,
    /// Over the runs alone, in order; none where nothing was sealed.
    pub(crate) runs_hash: Option<Vec<u8>>,
    /// The object that has their histories.
    pub(crate) archive: Option<String>,
}

impl Tombstone {
    /// Returns SHA-256 over the columns in this order, numbers in big endian, moments in microseconds.
    pub(crate) fn digest(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(self.id.as_bytes());
        hasher.update(self.namespace.to_be_bytes());
        hasher.update(self.at.0.to_be_bytes());
        hasher.update(self.reason.to_be_bytes());
        hasher.update(self.runs.to_be_bytes());
        hasher.update(self.closed_from.0.to_be_bytes());
        hasher.update(self.closed_until.0.to_be_bytes());
        hasher.update(self.events.to_be_bytes());
        hasher.update(self.bytes.to_be_bytes());
        hasher.update(&self.hash);
        hasher.update(self.runs_hash.as_deref().unwrap_or_default());
        hasher.update(self.archive.as_deref().unwrap_or_default());
        hasher.finalize().into()
    }
}

/// Returns the hash of a tombstone of these runs, in the order of their ids, each with the head of its chain.
pub(crate) fn hash_of_runs<'a>(runs: impl IntoIterator<Item = (Uuid, &'a Hash)>) -> Hash {
    let mut hasher = Sha256::new();
    for (run_id, head) in runs {
        hasher.update(run_id.as_bytes());
        hasher.update(head);
    }
    hasher.finalize().into()
}

/// Returns SHA-256 over the numbers of tiles that were deleted.
pub(crate) fn hash_of_tiles(tiles: &[i64]) -> Hash {
    let mut hasher = Sha256::new();
    for tile in tiles {
        hasher.update(tile.to_be_bytes());
    }
    hasher.finalize().into()
}

/// Returns SHA-256 over run ids.
pub(crate) fn hash_of_uuids(ids: &[Uuid]) -> Hash {
    let mut hasher = Sha256::new();
    for id in ids {
        hasher.update(id.as_bytes());
    }
    hasher.finalize().into()
}
