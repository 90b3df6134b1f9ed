//! A workflow task goes to a worker: to the one that caches its run, or to any of its queue.

use std::{cmp::Reverse, time::Duration};

use history::{
    decide::{self, StartWorkflowTask},
    event::TaskQueueKind,
    task::{ToWorker, WorkflowTask, WorkflowTaskToken},
};
use tokio::time::Instant;

use crate::{
    limits::{LINGER, LINGER_MAX},
    owner::{
        context::{Context, Step},
        state::{queues::Position, run::Run, task_place::TaskPlace},
    },
    words::{Kind, QueueKey, SessionId},
};

impl Context {
    /// Hands the run's workflow task to a worker, if one waits to be handed out and nothing of the run is in flight.
    pub(super) fn hand_out_workflow_task(&mut self, run: &mut Run) -> Step {
        let Some(task) = run.execution.workflow_task() else {
            return Ok(());
        };
        // Speculation is one workflow task deep: what this task is built on may be staged, but nothing before it.
        if !task.is_ready()
            || run.task != TaskPlace::Idle
            || run.writing.is_in_flight()
            || self.stopping
            || !self.shards.hands_out(run.shard)
        {
            return Ok(());
        }
        let (scheduled_event_id, attempt) = (task.scheduled_event_id, task.attempt);
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        let takes = |session: &SessionId| self.queues.can_take(*session, Kind::Workflow);
        let cached = run.affinity.filter(|_| task.kind == TaskQueueKind::Normal);
        let free = cached.filter(takes);
        let Some(session) = free.or_else(|| self.queues.free(&queue, Kind::Workflow)) else {
            self.wait_for_slot(run, &queue);
            return Ok(());
        };
        let partial = run.affinity == Some(session) && run.has_what_is_new();
        if !partial && !run.has_whole_history() {
            // What is being read takes the slots that are free.
            if self.reads_enough(&queue) {
                self.wait_for_slot(run, &queue);
            } else {
                self.read_history(run);
            }
            return Ok(());
        }
        let request = StartWorkflowTask {
            scheduled_event_id,
            attempt,
            identity: self.identity(session),
            history_bytes: run.bytes,
        };
        let decision = match decide::start_workflow_task(&run.execution, &request, self.now()) {
            Ok(decision) => decision,
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, run_id = %run.run_id(), "a workflow task can't be started");
                return Ok(());
            }
        };
        self.record(run, decision)?;
        if attempt > 1 {
            self.note_start(run.run_id(), history::EventId::NONE, attempt);
        }
        self.post_workflow_task(run, session, partial);
        Ok(())
    }

    /// Lets a workflow task wait for a worker. One whose history was read for that has waited before, and is the next: else those that
    /// were read would gather behind those that are not.
    fn wait_for_slot(&mut self, run: &mut Run, queue: &QueueKey) {
        let at = if run.tail.was_read() {
            Position::Next
        } else {
            Position::Last
        };
        self.wait_at(at, run, queue);
    }

    /// Lets a workflow task wait somewhere in its queue.
    pub(super) fn wait_at(&mut self, at: Position, run: &mut Run, queue: &QueueKey) {
        run.task = TaskPlace::Queued;
        let now = self.now();
        self.queues.wait_workflow(queue, at, run.run_id(), now);
        self.may_demand(queue, Kind::Workflow);
    }

    /// Sends a started workflow task to a worker: the events that are new to it, or all of them.
    pub(super) fn post_workflow_task(&mut self, run: &mut Run, session: SessionId, partial: bool) {
        let run_id = run.run_id();
        let out = match self.queues.session(session) {
            Some(session) => session.workflow_tasks_out(),
            None => 0,
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        let Some(started) = task.start() else { return };
        let previous = run.execution.previous_started_event_id();
        let first = if partial {
            previous.next()
        } else {
            history::EventId::FIRST
        };
        let mut events = run.tail.since(first);
        events.extend(run.execution.transient_events());
        let message = WorkflowTask {
            token: WorkflowTaskToken {
                namespace: run.key.namespace.name.clone(),
                workflow_id: run.key.workflow_id.clone(),
                run_id,
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: started.started_event_id,
                attempt: task.attempt,
                incarnation: run.incarnation,
            },
            workflow_type: run.execution.workflow_type().clone(),
            previous_started_event_id: previous,
            events,
            start_to_close_timeout: task.start_to_close_timeout,
        };
        run.unreadable = None;
        let until = Instant::now() + linger(out);
        run.task = TaskPlace::Out {
            session,
            linger_until: Some(until),
        };
        self.lingering.push(Reverse((until, run_id)));
        if let Some(session) = self.queues.session(session) {
            session.take_workflow(run_id);
        }
        if !self.queues.send(session, ToWorker::WorkflowTask(message)) {
            self.note_gone(session);
        }
    }
}

/// Returns how long a row waits for the commands of a workflow task, when its worker has so many.
fn linger(out: usize) -> Duration {
    let queued = u32::try_from(out / 32).unwrap_or(u32::MAX);
    LINGER
        .saturating_mul(queued.saturating_add(1))
        .min(LINGER_MAX)
}
