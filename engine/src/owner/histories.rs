//! Whole histories, read for workers that have not cached their runs: for as many runs of a queue as its workers have room, and as many at once
//! as there is room for in memory; the others in turn.

use std::sync::Arc;

use futures::FutureExt as _;
use history::{Event, RunId, decide};

use crate::{
    Unreadable,
    limits::{READ_A_SLOT, READ_AGAIN_AFTER, READ_BYTES, READ_BYTES_SHORT},
    owner::{
        Owner,
        message::Message,
        state::{histories::Wanted, queues::Position, run::Run, task_place::TaskPlace},
    },
    store,
    words::{Kind, QueueKey, Request},
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

    pub(super) fn history_read(
        &mut self,
        wanted: Wanted,
        events: Result<Vec<Arc<Event>>, store::Error>,
    ) {
        let (run_id, incarnation) = (wanted.run_id, wanted.incarnation);
        self.end_reading(wanted);
        let run = self.runs.get_mut(&run_id);
        if let Some(run) = run.filter(|run| run.incarnation == incarnation) {
            if run.task == TaskPlace::Reading {
                run.task = TaskPlace::Idle;
            }
            if run.execution.is_open() {
                self.take_history(run_id, events);
            } else {
                // Nobody gets it any more.
                self.forget_if_over(run_id);
            }
        }
        self.refill_freed();
    }

    /// Goes on with an open run whose history was read, or could not be.
    fn take_history(&mut self, run_id: RunId, events: Result<Vec<Arc<Event>>, store::Error>) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let read =
            events.and_then(|events| run.tail.complete(events, run.bytes, &run.key.workflow_id));
        match read {
            Ok(()) => {
                run.unreadable = None;
                self.post_again(run_id);
                self.settle(run_id);
                #[cfg(test)]
                crate::sim::world::wait_whole(self.waiting_whole());
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %run_id, "a history can't be read; trying again");
                run.task = TaskPlace::Unread;
                let unreadable = run.unreadable.get_or_insert(Unreadable {
                    since: now,
                    problem: String::new(),
                });
                unreadable.problem = error.with_causes();
                let key = run.key.clone();
                self.lose_unposted(run_id);
                self.settle(run_id);
                let look = Request::look(key, run_id);
                self.after(READ_AGAIN_AFTER, look);
            }
        }
    }

    /// A history that could not be read may be read again.
    pub(super) fn may_read_again(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id)
            && run.task == TaskPlace::Unread
        {
            run.task = TaskPlace::Idle;
        }
    }

    #[cfg(test)]
    fn waiting_whole(&self) -> usize {
        let waiting = self.runs.values();
        let waiting = waiting.filter(|run| run.task == TaskPlace::Queued);
        let whole = waiting.filter(|run| run.tail.was_read());
        whole.count()
    }

    /// A started workflow task that is with nobody is tried again: its worker had evicted the run, and nobody else can have it.
    fn lose_unposted(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get(&run_id)
            && run.is_unposted()
            && let Ok(decision) = decide::lose_workflow_task(&run.execution, self.now())
        {
            self.record(run_id, decision);
        }
    }

    /// Sends a workflow task that is started but with nobody, because its worker had evicted the run.
    fn post_again(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get(&run_id).filter(|run| run.is_unposted()) else {
            return;
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        if let Some(session) = self.queues.free(&queue, Kind::Workflow) {
            self.post_workflow_task(run_id, session, false);
        } else {
            self.lose_unposted(run_id);
        }
    }
}
