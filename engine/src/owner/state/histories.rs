//! Whole histories that are being read for workers.

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;
use history::{RunId, TaskQueue};

use crate::words::QueueKey;

/// A run whose history is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) run_id: RunId,
    /// Of this folding.
    pub(crate) incarnation: u64,
    /// Whose workers wait for it.
    pub(crate) queue: QueueKey,
    /// How many stored bytes it has.
    pub(crate) bytes: u64,
}

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    pub(crate) waiting: VecDeque<Wanted>,
    /// The stored bytes of those that are being read.
    pub(crate) bytes: u64,
    /// How many there are of each queue, being read or to be.
    pub(crate) queues: HashMap<QueueKey, usize>,
    /// Queues of which there are fewer than when they were last refilled.
    pub(crate) freed: BTreeMap<(i16, TaskQueue), QueueKey>,
}

impl Histories {
    pub(crate) fn end_of(&mut self, queue: QueueKey) {
        if let Some(count) = self.queues.get_mut(&queue) {
            *count -= 1;
            if *count == 0 {
                self.queues.remove(&queue);
            }
        }
        self.freed.insert((queue.0.id, queue.1.clone()), queue);
    }
}
