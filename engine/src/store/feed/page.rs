//! What a reader of the feed is given.

use history::{RunId, chain::Hash};

use super::slot::{Latest, Slot};

/// Batches behind a cursor, as of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// Who had joined last then, and the epochs of all members.
    pub(crate) latest: Latest,
    pub(crate) members: Vec<i64>,
    /// In an order in which what a run wrote later comes later.
    pub(crate) batches: Vec<Batch>,
    /// There was no other then.
    pub(crate) is_last: bool,
}

/// A committed batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Through which slot it was committed.
    pub(crate) slot: Slot,
    /// Its number there.
    pub(crate) number: i64,
    /// The rows of history that it wrote.
    pub(crate) changes: Vec<Change>,
}

/// A row of history, as the feed names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub shard: i16,
    pub run_id: RunId,
    /// The row's number in its run, from 0.
    pub seq: i32,
    /// Whether it closes the run.
    pub closes: bool,
    /// Whether the run's row in `execution` was written with it: it began, closed, or its code changed memo or search attributes.
    pub execution_changed: bool,
    /// The row's hash, the head of the run's chain until its next row.
    pub hash: Hash,
}
