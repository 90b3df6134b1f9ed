//! Whole histories, read for workers that have not cached their runs: for as many runs of a queue as its workers have room, and as many at once
//! as there is room for in memory; the others in turn.

use std::sync::Arc;

use futures::FutureExt as _;
use history::RunId;

use crate::{
    limits::{READ_A_SLOT, READ_BYTES, READ_BYTES_SHORT},
    owner::{
        Owner,
        message::Message,
        state::{histories::Wanted, queues::Position, run::Run, task_place::TaskPlace},
    },
    words::{Kind, QueueKey},
};

impl Owner {
    /// Reads the whole history of a run, of which all but the tail is durable, to send it to a worker that has not cached it.
    pub(super) fn read_history(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.task = TaskPlace::Reading;
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

    /// Lets tasks wait in their queue again for whose histories there is no slot any more: workers have left, or took others. They keep
    /// their order, before those that were not to be read, and behind those that were read.
    fn send_back(&mut self) {
        let wanted_most = self.histories.queues.iter();
        if !wanted_most
            .into_iter()
            .any(|(queue, wanted)| *wanted > self.enough(queue))
        {
            return;
        }
        for n in (0..self.histories.waiting.len()).rev() {
            let Wanted {
                run_id,
                incarnation,
                queue,
                ..
            } = self.histories.waiting[n].clone();
            let wanted = self.histories.queues.get(&queue);
            let too_many = wanted.is_some_and(|wanted| *wanted > self.enough(&queue));
            let run = self.runs.get_mut(&run_id);
            let run = run.filter(|run| run.incarnation == incarnation && run.execution.is_open());
            if let Some(run) = run.filter(|_| too_many)
                && let Some(task) = run.execution.workflow_task()
                && task.is_ready()
            {
                run.task = TaskPlace::Idle;
                self.histories.waiting.remove(n);
                let before = self.queues.waiting(&queue, Kind::Workflow);
                let was_read = |run_id: &RunId| {
                    let run = self.runs.get(run_id);
                    run.is_some_and(|run| run.tail.was_read())
                };
                let before = before.take_while(was_read).count();
                self.wait_at(Position::Behind(before), run_id, &queue);
                self.histories.end_of(queue);
            }
        }
    }

    /// Reads the next histories for which there are slots and room, and any of those when none is being read.
    fn read_histories(&mut self) {
        self.send_back();
        let room = if self.is_short() {
            READ_BYTES_SHORT
        } else {
            READ_BYTES
        };
        while let Some(wanted) = self.histories.waiting.pop_front() {
            let run_id = wanted.run_id;
            let run = self.runs.get_mut(&run_id);
            let Some(run) = run.filter(|run| run.incarnation == wanted.incarnation) else {
                // It is gone, or was folded again.
                self.histories.end_of(wanted.queue);
                continue;
            };
            if !run.execution.is_open() {
                run.task = TaskPlace::Idle;
                self.histories.end_of(wanted.queue);
                self.forget_if_over(run_id);
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
