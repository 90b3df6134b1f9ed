//! Whole histories, read for workers that have not cached their runs: for as many runs of a queue as its workers have room, and as many at once
//! as there is room for in memory; the others in turn.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use foldhash::HashMap;
use futures::FutureExt as _;
use history::{RunId, TaskQueue, execution::WorkflowTaskState};

use super::{
    Message, Owner,
    queues::{Kind, QueueEnd, QueueKey},
    run::{HistoryRead, Run},
};
use crate::limits::{READ_A_SLOT, READ_BYTES, READ_BYTES_SHORT};

/// A run whose history is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(super) run_id: RunId,
    /// Of this folding.
    pub(super) incarnation: u64,
    /// Whose workers wait for it.
    queue: QueueKey,
    /// How many stored bytes it has.
    bytes: u64,
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
            run.history_read = HistoryRead::UnderWay;
            let task = run.execution.workflow_task();
            let task_queue =
                task.map_or_else(|| run.execution.task_queue(), |task| &task.task_queue);
            let queue = (run.key.namespace.clone(), task_queue.clone());
            *self.histories.queues.entry(queue.clone()).or_default() += 1;
            self.histories.waiting.push_back(Wanted {
                run_id,
                incarnation: run.incarnation,
                queue,
                bytes: run.bytes,
            });
            self.read_histories();
        }
    }

    /// Says whether the histories that are being read are enough for the workers of a queue.
    pub(super) fn reads_enough(&self, queue: &QueueKey) -> bool {
        let reading = self.histories.queues.get(queue);
        reading.is_some_and(|reading| *reading >= self.enough(queue))
    }

    /// Returns how many histories are enough for the slots that the workers of a queue have free.
    fn enough(&self, queue: &QueueKey) -> usize {
        let free = self.queues.free_slots(queue, Kind::Workflow);
        free.saturating_mul(READ_A_SLOT)
    }

    /// Says whether the first task of a queue can't go to a worker before a history is read.
    pub(super) fn first_needs_history(&self, queue: &QueueKey) -> bool {
        let first = self.queues.waiting(queue, Kind::Workflow).next();
        first.is_some_and(|run_id| {
            let run = self.runs.get(&run_id);
            run.is_none_or(|run| !run.has_whole_history() && !self.is_cached(run))
        })
    }

    fn is_cached(&self, run: &Run) -> bool {
        let takes = |session| self.queues.can_take(session, Kind::Workflow);
        run.affinity.is_some_and(takes) && run.has_what_is_new()
    }

    /// A history has been read: others may be.
    pub(super) fn end_reading(&mut self, wanted: Wanted) {
        self.histories.bytes -= wanted.bytes;
        self.histories.end_of(wanted.queue);
        self.read_histories();
    }

    /// Goes on with the queues of which fewer histories are being read.
    pub(super) fn refill_freed(&mut self) {
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
            let run_id = wanted.run_id;
            let wants = self.histories.queues.get(&wanted.queue);
            let too_many = wants.is_some_and(|wants| *wants > self.enough(&wanted.queue));
            let run = self.runs.get_mut(&run_id);
            let Some(run) = run.filter(|run| run.incarnation == wanted.incarnation) else {
                // It is gone, or was folded again.
                self.histories.end_of(wanted.queue);
                continue;
            };
            if !run.execution.is_open() {
                run.history_read = HistoryRead::No;
                self.histories.end_of(wanted.queue);
                self.forget_if_over(run_id);
                continue;
            }
            let task = run.execution.workflow_task();
            if too_many && task.is_some_and(WorkflowTaskState::is_ready) {
                // Workers have left since, or are busy.
                run.history_read = HistoryRead::No;
                self.wait_at(QueueEnd::Front, run_id, &wanted.queue);
                self.histories.end_of(wanted.queue);
                continue;
            }
            let (shard, reading) = (run.shard, self.histories.bytes);
            if reading > 0 && reading.saturating_add(wanted.bytes) > room {
                return self.histories.waiting.push_front(wanted);
            }
            self.histories.bytes += wanted.bytes;
            let store = Arc::clone(&self.setup.store);
            self.elsewhere.push(
                async move {
                    let events = store.events(shard, run_id).await;
                    Message::HistoryRead { wanted, events }
                }
                .boxed(),
            );
        }
    }
}
