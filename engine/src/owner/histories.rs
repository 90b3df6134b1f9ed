//! Whole histories, read for workers that have not cached their runs: for as many runs of a queue as its workers have room, and as many at once
//! as there is room for in memory; the others in turn.

use std::sync::Arc;

use futures::FutureExt as _;
use history::{Event, RunId, decide, execution::WorkflowTaskState};

use crate::{
    Unreadable,
    limits::{READ_A_SLOT, READ_AGAIN_AFTER, READ_BYTES, READ_BYTES_SHORT},
    owner::{
        Owner,
        context::{Context, Next, Step},
        message::Message,
        state::{histories::Wanted, queues::Position, run::Run, task_place::TaskPlace},
    },
    store,
    words::{Kind, QueueKey, Request},
};

impl Owner {
    /// Says whether the first task of a queue can't go to a worker before a history is read.
    pub(super) fn first_needs_history(&self, queue: &QueueKey) -> bool {
        let first = self.context.queues.waiting(queue, Kind::Workflow).next();
        first.is_some_and(|run_id| {
            let run = self.runs.get(&run_id);
            // One that has left has to be read altogether.
            run.is_none_or(|run| !run.has_whole_history() && !self.context.is_cached(run))
        })
    }

    /// A history has been read: others may be.
    pub(super) fn end_reading(&mut self, wanted: Wanted) {
        self.context.histories.bytes -= wanted.bytes;
        self.context.histories.end_of(wanted.queue);
        self.read_histories();
    }

    /// Goes on with the queues of which fewer histories are being read.
    pub(super) fn refill_freed(&mut self) {
        for queue in std::mem::take(&mut self.context.histories.freed).into_values() {
            self.refill(&queue);
        }
    }

    /// Lets tasks wait in their queue again for whose histories there is no slot any more: workers have left, or took others. They keep
    /// their order, before those that were not to be read, and behind those that were read.
    fn send_back(&mut self) {
        let wanted_most = self.context.histories.queues.iter();
        if !wanted_most
            .into_iter()
            .any(|(queue, wanted)| *wanted > self.context.enough(queue))
        {
            return;
        }
        for n in (0..self.context.histories.waiting.len()).rev() {
            let Wanted {
                run_id,
                incarnation,
                queue,
                ..
            } = self.context.histories.waiting[n].clone();
            let wanted = self.context.histories.queues.get(&queue);
            let too_many = wanted.is_some_and(|wanted| *wanted > self.context.enough(&queue));
            if !too_many {
                continue;
            }
            let was_read = |run_id: &RunId| {
                let run = self.runs.get(run_id);
                run.is_some_and(|run| run.tail.was_read())
            };
            let before = self.context.queues.waiting(&queue, Kind::Workflow);
            let before = before.take_while(was_read).count();
            // One that is gone, or was folded again, is dropped when its turn comes.
            let run = self.runs.get_mut(&run_id);
            let run = run.filter(|run| run.incarnation == incarnation);
            let is_ready = |run: &Run| {
                let task = run.execution.workflow_task();
                task.is_some_and(WorkflowTaskState::is_ready)
            };
            if let Some(run) = run.filter(|run| is_ready(run)) {
                self.context.wait_at(Position::Behind(before), run, &queue);
                self.context.histories.waiting.remove(n);
                self.context.histories.end_of(queue);
            }
        }
    }

    /// Reads the next histories for which there are slots and room, and any of those when none is being read.
    pub(super) fn read_histories(&mut self) {
        self.send_back();
        let room = if self.context.is_short() {
            READ_BYTES_SHORT
        } else {
            READ_BYTES
        };
        while let Some(wanted) = self.context.histories.waiting.pop_front() {
            let run_id = wanted.run_id;
            let run = self.runs.get_mut(&run_id);
            let Some(run) = run.filter(|run| run.incarnation == wanted.incarnation) else {
                // It is gone, or was folded again and has asked anew.
                self.context.histories.end_of(wanted.queue);
                continue;
            };
            if !run.execution.is_open() {
                run.task = TaskPlace::Idle;
                self.context.histories.end_of(wanted.queue);
                self.forget_if_over(run_id);
                continue;
            }
            let (shard, reading) = (run.shard, self.context.histories.bytes);
            if reading > 0 && reading.saturating_add(wanted.bytes) > room {
                return self.context.histories.waiting.push_front(wanted);
            }
            self.context.histories.bytes += wanted.bytes;
            let store = Arc::clone(&self.context.setup.store);
            self.context.elsewhere.push(
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
        // One that is gone, or was folded again, has asked anew.
        self.step(run_id, |context, run| {
            if run.incarnation != incarnation {
                return Ok(());
            }
            if run.task == TaskPlace::Reading {
                run.task = TaskPlace::Idle;
            }
            // Nobody gets it any more when the run has closed.
            if run.execution.is_open() {
                context.take_history(run, events)?;
            }
            Ok(())
        });
        #[cfg(test)]
        crate::sim::world::wait_whole(self.waiting_whole());
        self.refill_freed();
    }

    #[cfg(test)]
    fn waiting_whole(&self) -> usize {
        let waiting = self.runs.values();
        let waiting = waiting.filter(|run| run.task == TaskPlace::Queued);
        let whole = waiting.filter(|run| run.tail.was_read());
        whole.count()
    }
}

impl Context {
    /// Reads the whole history of a run, of which all but the tail is durable, to send it to a worker that has not cached it.
    pub(super) fn read_history(&mut self, run: &mut Run) {
        run.task = TaskPlace::Reading;
        let task = run.execution.workflow_task();
        let task_queue = task.map_or_else(|| run.execution.task_queue(), |task| &task.task_queue);
        let queue = (run.key.namespace.clone(), task_queue.clone());
        *self.histories.queues.entry(queue.clone()).or_default() += 1;
        self.histories.waiting.push_back(Wanted {
            run_id: run.run_id(),
            incarnation: run.incarnation,
            queue,
            bytes: run.bytes,
        });
        self.next.push_back(Next::ReadHistories);
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

    fn is_cached(&self, run: &Run) -> bool {
        let takes = |session| self.queues.can_take(session, Kind::Workflow);
        run.affinity.is_some_and(takes) && run.has_what_is_new()
    }

    /// Goes on with an open run whose history was read, or could not be.
    fn take_history(
        &mut self,
        run: &mut Run,
        events: Result<Vec<Arc<Event>>, store::Error>,
    ) -> Step {
        let (now, run_id) = (self.now(), run.run_id());
        let read =
            events.and_then(|events| run.tail.complete(events, run.bytes, &run.key.workflow_id));
        match read {
            Ok(()) => {
                run.unreadable = None;
                self.post_again(run)?;
                self.settle(run)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %run_id, "a history can't be read; trying again");
                run.task = TaskPlace::Unread;
                let unreadable = run.unreadable.get_or_insert(Unreadable {
                    since: now,
                    problem: String::new(),
                });
                unreadable.problem = error.with_causes();
                let look = Request::look(run.key.clone(), run_id);
                self.after(READ_AGAIN_AFTER, look);
                self.lose_unposted(run)?;
                self.settle(run)
            }
        }
    }

    /// A started workflow task that is with nobody is tried again: its worker had evicted the run, and nobody else can have it.
    fn lose_unposted(&mut self, run: &mut Run) -> Step {
        if run.is_unposted()
            && let Ok(decision) = decide::lose_workflow_task(&run.execution, self.now())
        {
            self.record(run, decision)?;
        }
        Ok(())
    }

    /// Sends a workflow task that is started but with nobody, because its worker had evicted the run.
    fn post_again(&mut self, run: &mut Run) -> Step {
        let Some(task) = run.execution.workflow_task().filter(|_| run.is_unposted()) else {
            return Ok(());
        };
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        if let Some(session) = self.queues.free(&queue, Kind::Workflow) {
            self.post_workflow_task(run, session, false);
            Ok(())
        } else {
            self.lose_unposted(run)
        }
    }
}
