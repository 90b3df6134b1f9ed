//! Runs that left memory while they wait for workers, with the places that they have in queues.

use std::collections::BTreeSet;

use foldhash::HashMap;
use history::RunId;

use crate::words::QueueKey;

/// A run that left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) shard: i16,
    /// Its workflow task has a place in the queue.
    pub(crate) is_queued: bool,
}

/// The runs that left.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) left: HashMap<RunId, Left>,
    /// The queues whose first run is being read, for them or for another reason.
    pub(crate) waiting: BTreeSet<QueueKey>,
}

impl Backlog {
    /// Takes note that a run is in memory; says whether its workflow task has kept its place in the queue.
    pub(crate) fn back(&mut self, run_id: RunId) -> bool {
        self.left.remove(&run_id).is_some_and(|left| left.is_queued)
    }

    /// Says whether a run has left while a task of it waits.
    pub(crate) fn has(&self, run_id: RunId) -> bool {
        self.left.contains_key(&run_id)
    }

    /// Says whether a run has left while its workflow task waits.
    pub(crate) fn has_workflow_task(&self, run_id: RunId) -> bool {
        self.left.get(&run_id).is_some_and(|left| left.is_queued)
    }

    /// Forgets the runs of other shards.
    pub(crate) fn keep(&mut self, is_here: impl Fn(i16) -> bool) {
        self.left.retain(|_, left| is_here(left.shard));
    }
}
