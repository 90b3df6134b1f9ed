//! A workflow task goes to a worker: to the one that caches its run, or to any of its queue.

use std::{cmp::Reverse, time::Duration};

use history::{
    RunId,
    decide::{self, StartWorkflowTask},
    event::TaskQueueKind,
    task::{ToWorker, WorkflowTask, WorkflowTaskToken},
};
use tokio::time::Instant;

use crate::{
    limits::{LINGER, LINGER_MAX},
    owner::{
        Owner,
        state::{queues::Position, task_place::TaskPlace},
    },
    words::{Kind, QueueKey, SessionId},
};

impl Owner {
    /// Hands the run's workflow task to a worker, if one waits to be handed out and everything before it is durable.
    pub(super) fn hand_out_workflow_task(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        // Speculation is one workflow task deep: what this task is built on may be staged, but nothing before it.
        if !task.is_ready()
            || run.task != TaskPlace::Idle
            || run.writing.is_in_flight()
            || self.stopping
            || !self.shards.hands_out(run.shard)
        {
            return;
        }
        let (scheduled_event_id, attempt, kind) =
            (task.scheduled_event_id, task.attempt, task.kind);
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        let affinity = run.affinity;
        let session = match affinity {
            Some(session)
                if kind == TaskQueueKind::Normal
                    && self.queues.can_take(session, Kind::Workflow) =>
            {
                Some(session)
            }
            _ => self.queues.free(&queue, Kind::Workflow),
        };
        let Some(session) = session else {
            return self.wait_for_slot(run_id, &queue);
        };
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        let partial = affinity == Some(session) && run.has_what_is_new();
        if !partial && !run.has_whole_history() {
            // What is being read takes the slots that are free.
            if self.reads_enough(&queue) {
                return self.wait_for_slot(run_id, &queue);
            }
            return self.read_history(run_id);
        }
        self.send_workflow_task(
            run_id,
            session,
            StartedTask {
                scheduled_event_id,
                attempt,
                partial,
            },
        );
    }

    /// Lets a workflow task wait for a worker. One whose history was read for that has waited before, and is the next: else those that
    /// were read would gather behind those that are not.
    fn wait_for_slot(&mut self, run_id: RunId, queue: &QueueKey) {
        let run = self.runs.get(&run_id);
        let at = if run.is_some_and(|run| run.tail.was_read()) {
            Position::Next
        } else {
            Position::Last
        };
        self.wait_at(at, run_id, queue);
    }

    /// Lets a workflow task wait somewhere in its queue.
    pub(super) fn wait_at(&mut self, at: Position, run_id: RunId, queue: &QueueKey) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.task = TaskPlace::Queued;
            let now = self.now();
            self.queues.wait_workflow(queue, at, run_id, now);
            self.may_demand(queue, Kind::Workflow);
        }
    }

    fn send_workflow_task(&mut self, run_id: RunId, session: SessionId, task: StartedTask) {
        let now = self.now();
        // It was free in this turn.
        let Some(identity) = self.identity(session) else {
            return;
        };
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let request = StartWorkflowTask {
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
            identity: Some(identity),
            history_bytes: run.bytes,
        };
        let decision = match decide::start_workflow_task(&run.execution, &request, now) {
            Ok(decision) => decision,
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, %run_id, "a workflow task can't be started");
                return;
            }
        };
        self.record(run_id, decision);
        if task.attempt > 1 {
            self.note_start(run_id, history::EventId::NONE, task.attempt);
        }
        self.post_workflow_task(run_id, session, task.partial);
    }

    /// Sends a started workflow task to a worker: the events that are new to it, or all of them.
    pub(super) fn post_workflow_task(&mut self, run_id: RunId, session: SessionId, partial: bool) {
        let out = match self.queues.session(session) {
            Some(session) => session.workflow_tasks_out(),
            None => 0,
        };
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
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
            self.disconnect(session);
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

/// A workflow task about to be handed out.
#[derive(Clone, Copy)]
struct StartedTask {
    scheduled_event_id: history::EventId,
    attempt: u32,
    /// The worker has the run cached and gets only what is new.
    partial: bool,
}
