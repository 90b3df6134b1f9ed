//! Whole histories, read for workers that have not cached their runs: for as many runs of a queue as its workers have room, and as many at once
//! as there is room for in memory; the others in turn.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use foldhash::HashMap;
use futures::FutureExt as _;
use history::{RunId, TaskQueue};

use super::{
    Message, Owner,
    queues::{Kind, QueueKey},
};
use crate::limits::{READ_BYTES, READ_BYTES_SHORT};

/// A run whose history is to be read.
#[derive(Debug, Clone)]
struct Wanted {
    run_id: RunId,
    /// Of this folding.
    incarnation: u64,
    /// Whose workers wait for it.
    queue: QueueKey,
}

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Histories {
    waiting: VecDeque<Wanted>,
    /// The stored bytes of those that are being read.
    bytes: u64,
    /// How many there are of each queue, being read or to be.
    queues: HashMap<QueueKey, usize>,
    /// Queues of which there are fewer than when they were last refilled.
    freed: BTreeMap<(i16, TaskQueue), QueueKey>,
}

impl Histories {
    fn end_of(&mut self, queue: QueueKey) {
        if let Some(count) = self.queues.get_mut(&queue) {
            *count -= 1;
            if *count == 0 {
                self.queues.remove(&queue);
            }
        }
        self.freed.insert((queue.0.id, queue.1.clone()), queue);
    }
}

impl Owner {
    /// Reads the whole history of a run, of which all but the tail is durable, to send it to a worker that has not cached it.
    pub(super) fn read_history(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.reading = true;
            let task = run.execution.workflow_task();
            let task_queue =
                task.map_or_else(|| run.execution.task_queue(), |task| &task.task_queue);
            let queue = (run.key.namespace.clone(), task_queue.clone());
            *self.histories.queues.entry(queue.clone()).or_default() += 1;
            self.histories.waiting.push_back(Wanted {
                run_id,
                incarnation: run.incarnation,
                queue,
            });
            self.read_histories();
        }
    }

    /// Says whether the histories that are being read are enough for the workers of a queue.
    pub(super) fn reads_enough(&self, queue: &QueueKey) -> bool {
        let reading = self.histories.queues.get(queue);
        reading.is_some_and(|reading| {
            let free = self.queues.free_slots(queue, Kind::Workflow);
            *reading >= free.saturating_mul(2)
        })
    }

    /// A history has been read of so many stored bytes: others may be.
    pub(super) fn history_was_read(&mut self, bytes: u64, queue: QueueKey) {
        self.histories.bytes -= bytes;
        self.histories.end_of(queue);
        self.read_histories();
    }

    /// Goes on with the queues of which fewer histories are being read.
    pub(super) fn refill_read(&mut self) {
        for queue in std::mem::take(&mut self.histories.freed).into_values() {
            self.refill(&queue);
        }
    }

    /// Reads the next histories for which there is room, and any when none is being read.
    fn read_histories(&mut self) {
        let room = if self.is_short() {
            READ_BYTES_SHORT
        } else {
            READ_BYTES
        };
        while let Some(wanted) = self.histories.waiting.pop_front() {
            let Wanted {
                run_id,
                incarnation,
                ..
            } = wanted;
            let run = self.runs.get(&run_id);
            let Some(run) = run.filter(|run| run.incarnation == incarnation) else {
                // It is gone, or was folded again.
                self.histories.end_of(wanted.queue);
                continue;
            };
            let (shard, bytes) = (run.shard, run.bytes);
            let reading = self.histories.bytes;
            if reading > 0 && reading.saturating_add(bytes) > room {
                return self.histories.waiting.push_front(wanted);
            }
            self.histories.bytes += bytes;
            let store = Arc::clone(&self.setup.store);
            self.elsewhere.push(
                async move {
                    Message::HistoryRead {
                        run_id,
                        incarnation,
                        bytes,
                        queue: wanted.queue,
                        events: store.events(shard, run_id).await,
                    }
                }
                .boxed(),
            );
        }
    }
}
