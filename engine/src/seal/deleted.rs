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
    /// The run and its workflow, if it was one.
    pub(crate) run_id: Option<Uuid>,
    pub(crate) workflow_id: Option<String>,
    /// Over the runs and the heads of their chains.
    pub(crate) hash: Vec<u8>,
    /// Over the runs alone, in order.
    pub(crate) runs_hash: Vec<u8>,
    /// The object that has their histories.
    pub(crate) archive: Option<String>,
}

impl Tombstone {
    /// Returns SHA-256 over the columns in this order, numbers in big endian, moments in microseconds; what has no length of its own has it before it, and
    /// a byte of one, or of zero where there is nothing.
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
        for field in [
            self.run_id.as_ref().map(|id| id.as_bytes().as_slice()),
            self.workflow_id.as_deref().map(str::as_bytes),
            Some(self.hash.as_slice()),
            Some(self.runs_hash.as_slice()),
            self.archive.as_deref().map(str::as_bytes),
        ] {
            hasher.update([u8::from(field.is_some())]);
            let bytes = field.unwrap_or_default();
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(bytes);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_tombstone_can_be_moved_from_one_column_to_the_next() {
        let tombstone = Tombstone {
            id: Uuid::nil(),
            namespace: 1,
            at: Timestamp(1),
            reason: 1,
            runs: 1,
            closed_from: Timestamp(1),
            closed_until: Timestamp(1),
            events: 1,
            bytes: 1,
            run_id: None,
            workflow_id: None,
            hash: vec![1; 32],
            runs_hash: vec![2; 32],
            archive: Some("ab".to_owned()),
        };
        let mut longer = tombstone.clone();
        longer.runs_hash.push(b'a');
        longer.archive = Some("b".to_owned());
        let empty = Tombstone {
            archive: Some(String::new()),
            ..tombstone.clone()
        };
        let none = Tombstone {
            archive: None,
            ..tombstone.clone()
        };
        let named = Tombstone {
            workflow_id: Some("w".to_owned()),
            ..tombstone.clone()
        };
        let digests = [&tombstone, &longer, &empty, &none, &named].map(Tombstone::digest);
        for (n, digest) in digests.iter().enumerate() {
            assert!(!digests[n + 1..].contains(digest), "{n}");
        }
    }
}
