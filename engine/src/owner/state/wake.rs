//! When to look at a run in memory.

use std::cmp::Ordering;

use history::{RunId, Timestamp};

/// When to look at a run. A stale one costs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wake {
    pub(crate) at: Timestamp,
    pub(crate) run_id: RunId,
}

impl Ord for Wake {
    /// The earliest is the greatest, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.run_id).cmp(&(self.at, self.run_id))
    }
}

impl PartialOrd for Wake {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
