//! What a sealed log holds.

use history::chain::Hash;
use tlog_tiles::tlog;
use uuid::Uuid;

/// What a row of `seal_tile` has as the number of an entry that is no row of history.
const TOMBSTONE: i32 = -1;
const PRUNED: i32 = -2;
/// And what it has of the first row of history, where that closes its run; of the next one there is one less.
const CLOSED: i32 = -3;

/// A leaf of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The shard of the run; 0 where it is about none.
    pub shard: i16,
    /// What it is about: a run, or a row of `tombstone` or `seal_pruned`.
    pub id: Uuid,
    pub subject: Subject,
    pub hash: Hash,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A run, as far as this row: the hash is that row's, the head of its chain. Where the row closes the run there is none behind it, ever.
    History { seq: i32, closes: bool },
    /// Runs that were deleted: the hash is of what `tombstone` says of it.
    Tombstone,
    /// Tiles of the log that were deleted, because all their runs are: the hash is of what `seal_pruned` says of it.
    Pruned,
}

impl Subject {
    /// Returns what an entry is about by its number in `seal_tile`.
    pub(crate) fn of(number: i32) -> Self {
        match number {
            TOMBSTONE => Self::Tombstone,
            PRUNED => Self::Pruned,
            ..=CLOSED => Self::History {
                seq: CLOSED - number,
                closes: true,
            },
            seq => Self::History { seq, closes: false },
        }
    }

    /// Returns its number in `seal_tile`.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::History { seq, closes: true } => CLOSED.saturating_sub(seq),
            Self::History { seq, closes: false } => seq,
            Self::Tombstone => TOMBSTONE,
            Self::Pruned => PRUNED,
        }
    }
}

impl Entry {
    /// Returns the hash of the leaf: RFC 9162's, over shard (16 bits, big endian), id, number (32 bits) and hash.
    pub fn leaf(&self) -> tlog::Hash {
        let mut data = [0; 54];
        data[..2].copy_from_slice(&self.shard.to_be_bytes());
        data[2..18].copy_from_slice(self.id.as_bytes());
        data[18..22].copy_from_slice(&self.subject.number().to_be_bytes());
        data[22..].copy_from_slice(&self.hash);
        tlog::record_hash(&data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_is_about_has_one_number() {
        for number in [i32::MIN, -5, -4, -3, -2, -1, 0, 1, i32::MAX] {
            assert_eq!(Subject::of(number).number(), number);
        }
        let closed = Subject::History {
            seq: 2,
            closes: true,
        };
        assert_eq!(Subject::of(closed.number()), closed);
    }
}
