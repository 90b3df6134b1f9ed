//! Where a run is.

use history::RunId;

/// A run, and the shard that its workflow is in: the key of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunRef {
    /// Its shard.
    pub shard: i16,
    /// Its id.
    pub run_id: RunId,
}
