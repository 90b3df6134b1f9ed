//! The workflow task: at most one is pending.
//!
//! ```text
//! none        --Scheduled-->                 scheduled
//! scheduled   --Started-->                   started
//! started     --Completed-->                 none
//! started     --Failed, TimedOut-->          transient (waits)   or none, when the run was sticky
//! scheduled   --TimedOut (sticky queue)-->   none
//! transient   --note AttemptScheduled-->     transient (ready)
//! transient   --note AttemptStarted-->       transient (started)
//! transient   --note AttemptFailed-->        transient (waits), the next attempt
//! transient   --Scheduled-->                 scheduled: it completed, so it is written after all
//! transient   --any other event-->           none: a normal task must follow
//! ```

use std::sync::Arc;

use super::{BeganWith, Execution};
use crate::{
    event::{
        Event, EventKind, TaskQueueKind, WorkflowTaskCompleted, WorkflowTaskFailedCause,
        WorkflowTaskScheduled, WorkflowTaskStarted,
    },
    failure::{Failure, TimeoutType},
    ids::{EventId, Identity, TaskQueue},
    limits,
    record::{TaskFailed, WorkflowTaskAttemptCause},
    time::{Millis, Timestamp},
};

/// A pending workflow task.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTaskState {
    /// Its `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// Its start, if a worker has it.
    pub started: Option<WorkflowTaskStart>,
    /// Whether it has no events yet, because the attempt before it failed.
    pub transient: bool,
    /// The queue it goes to.
    pub task_queue: TaskQueue,
    /// Whether that queue is one worker's own.
    pub kind: TaskQueueKind,
    /// Until when it waits, if it does.
    pub backoff_until: Option<Timestamp>,
    /// The most time in the queue of one worker; zero for a queue of all.
    pub schedule_to_start_timeout: Millis,
    /// The most time from start to completion.
    pub start_to_close_timeout: Millis,
}

/// A worker has the task.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTaskStart {
    /// Its `WorkflowTaskStarted` event, or the id that it will have.
    pub started_event_id: EventId,
    /// When.
    pub at: Timestamp,
    /// The worker.
    pub identity: Option<Identity>,
    /// The stored size of the history then.
    pub history_size_bytes: i64,
}

/// What follows a workflow task that ended without completion, when workflow code need not be shown anything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextTask {
    /// A normal one for any worker: the failure may be one of the sticky worker only.
    Normal,
    /// The next attempt, which leaves no events unless it completes.
    Attempt {
        /// Which, from 2.
        attempt: u32,
        /// How long it waits.
        wait: Millis,
    },
}

impl WorkflowTaskState {
    /// Says whether it may be handed out.
    pub fn is_ready(&self) -> bool {
        self.started.is_none() && self.backoff_until.is_none()
    }

    /// Takes note that a transient attempt is with a worker.
    pub(super) fn was_handed_out(
        &mut self,
        at: Timestamp,
        identity: Option<Identity>,
        history_size_bytes: i64,
    ) {
        self.backoff_until = None;
        self.started = Some(WorkflowTaskStart {
            started_event_id: self.scheduled_event_id.next(),
            at,
            identity,
            history_size_bytes,
        });
    }

    /// Returns when its wait ends or its timeout passes.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.started {
            Some(start) => Some(start.at.after(self.start_to_close_timeout)),
            None => self.backoff_until.or_else(|| {
                let timeout = self.schedule_to_start_timeout.non_zero()?;
                Some(self.scheduled_at.after(timeout))
            }),
        }
    }
}

/// Returns how long an attempt waits after the one before it ended: 1 s, 2 s, 4 s … from the second attempt on.
/// After a timeout the second attempt does not wait: its worker is gone, and others may be there.
fn transient_backoff(attempt: u32, timed_out: bool) -> Millis {
    if timed_out && attempt <= 2 {
        return Millis::ZERO;
    }
    let doublings = attempt.saturating_sub(2).min(16);
    Millis(1000 << doublings).min(limits::WORKFLOW_TASK_BACKOFF_MAX)
}

impl Execution {
    /// Says what follows the pending workflow task if it ends without completion, by a timeout or a failure.
    pub(crate) fn next_task(&self, timed_out: bool) -> Option<NextTask> {
        let task = self.workflow_task()?;
        if self.sticky.is_some() || task.started.is_none() {
            return Some(NextTask::Normal);
        }
        let attempt = task.attempt.saturating_add(1);
        let wait = transient_backoff(attempt, timed_out);
        Some(NextTask::Attempt { attempt, wait })
    }

    /// Returns the most time that an attempt of a workflow task has. From the fourth attempt on it grows,
    /// so that a long replay that never made it in time makes it at last.
    pub(crate) fn workflow_task_timeout(&self, attempt: u32) -> Millis {
        let base = self.started().workflow_task_timeout;
        if attempt <= limits::WORKFLOW_TASK_TIMEOUT_ATTEMPTS {
            return base;
        }
        let doublings = (attempt - limits::WORKFLOW_TASK_TIMEOUT_ATTEMPTS - 1).min(16);
        let more = Millis(5000 << doublings).min(limits::WORKFLOW_TASK_TIMEOUT_GROWTH_MAX);
        Millis(base.0.saturating_add(more.0))
    }

    /// Returns the `WorkflowTaskScheduled` and `WorkflowTaskStarted` events of a started attempt that are not in
    /// the history, for the worker that has it. Empty unless the task is transient and started.
    pub fn transient_events(&self) -> Vec<Arc<Event>> {
        let Some(task) = self.workflow_task().filter(|task| task.transient) else {
            return Vec::new();
        };
        let Some(start) = &task.started else {
            return Vec::new();
        };
        let scheduled = WorkflowTaskScheduled {
            task_queue: task.task_queue.clone(),
            task_queue_kind: task.kind,
            start_to_close_timeout: task.start_to_close_timeout,
            attempt: task.attempt,
        };
        let started = self.workflow_task_started(
            task.scheduled_event_id,
            start.identity.clone(),
            start.history_size_bytes,
        );
        vec![
            Arc::new(Event {
                id: task.scheduled_event_id,
                at: task.scheduled_at,
                kind: scheduled.into(),
            }),
            Arc::new(Event {
                id: start.started_event_id,
                at: start.at,
                kind: started.into(),
            }),
        ]
    }

    /// Returns the attributes of a `WorkflowTaskStarted` event.
    pub(crate) fn workflow_task_started(
        &self,
        scheduled_event_id: EventId,
        identity: Option<Identity>,
        history_size_bytes: i64,
    ) -> WorkflowTaskStarted {
        WorkflowTaskStarted {
            scheduled_event_id,
            identity,
            request_id: None,
            suggest_continue_as_new: self.should_continue_as_new(stored(history_size_bytes)),
            history_size_bytes,
        }
    }

    /// Says whether the history has grown long since the code was first asked. What it began with does not count: with that alone it would
    /// go on before it has done anything, and so would each run that follows.
    fn should_continue_as_new(&self, bytes: u64) -> bool {
        self.began_with.is_some_and(|began_with| {
            let events = self.next_event_id.0 - began_with.events;
            events > limits::SUGGEST_CONTINUE_AS_NEW_EVENTS
                || bytes.saturating_sub(began_with.bytes) >= limits::SUGGEST_CONTINUE_AS_NEW_BYTES
        })
    }

    pub(super) fn apply_workflow_task(&mut self, event: &Event) -> Result<(), &'static str> {
        match &event.kind {
            EventKind::WorkflowTaskScheduled(attributes) => {
                self.workflow_task_was_scheduled(event, attributes)
            }
            EventKind::WorkflowTaskStarted(attributes) => {
                let task = self.pending_task(attributes.scheduled_event_id)?;
                if task.transient || task.started.is_some() {
                    return Err("the workflow task is not scheduled");
                }
                task.started = Some(WorkflowTaskStart {
                    started_event_id: event.id,
                    at: event.at,
                    identity: attributes.identity.clone(),
                    history_size_bytes: attributes.history_size_bytes,
                });
                self.began_with.get_or_insert(BeganWith {
                    events: event.id.0,
                    bytes: stored(attributes.history_size_bytes),
                });
                Ok(())
            }
            EventKind::WorkflowTaskCompleted(attributes) => {
                self.workflow_task_completed(event, attributes)
            }
            EventKind::WorkflowTaskTimedOut(attributes) => {
                let started = attributes.timeout_type == TimeoutType::StartToClose;
                self.ends_task(attributes.scheduled_event_id, started)?;
                if started {
                    let cause = WorkflowTaskAttemptCause::TimedOut(attributes.timeout_type);
                    self.task_failed(event.at, cause, None, None);
                }
                self.workflow_task_ended(event, true);
                Ok(())
            }
            EventKind::WorkflowTaskFailed(attributes) => {
                self.ends_task(attributes.scheduled_event_id, true)?;
                let cause = WorkflowTaskAttemptCause::Failed(attributes.cause);
                let identity = attributes.identity.clone();
                self.task_failed(event.at, cause, attributes.failure.as_ref(), identity);
                self.workflow_task_ended(event, false);
                if attributes.cause == WorkflowTaskFailedCause::ResetWorkflow {
                    let run_id = attributes.new_run_id;
                    self.resets.extend(run_id.map(|run_id| (event.id, run_id)));
                }
                Ok(())
            }
            _ => Err("it is no event of a workflow task"),
        }
    }

    fn pending_task(
        &mut self,
        scheduled_event_id: EventId,
    ) -> Result<&mut WorkflowTaskState, &'static str> {
        self.workflow_task
            .as_deref_mut()
            .filter(|task| task.scheduled_event_id == scheduled_event_id)
            .ok_or("the workflow task is not pending")
    }

    fn workflow_task_was_scheduled(
        &mut self,
        event: &Event,
        attributes: &WorkflowTaskScheduled,
    ) -> Result<(), &'static str> {
        match &self.workflow_task {
            Some(task) if !task.transient => return Err("a workflow task is pending"),
            // The log does not say of each attempt that it failed.
            Some(task) if task.attempt > attributes.attempt => {
                return Err("the pending workflow task is a later attempt");
            }
            Some(_) | None => {}
        }
        let sticky = match attributes.task_queue_kind {
            TaskQueueKind::Sticky => self.sticky.as_ref(),
            TaskQueueKind::Normal => None,
        };
        self.awaits_first_task = false;
        self.workflow_task = Some(Box::new(WorkflowTaskState {
            scheduled_event_id: event.id,
            attempt: attributes.attempt,
            scheduled_at: event.at,
            started: None,
            transient: false,
            task_queue: attributes.task_queue.clone(),
            kind: attributes.task_queue_kind,
            backoff_until: None,
            schedule_to_start_timeout: sticky
                .map_or(Millis::ZERO, |sticky| sticky.schedule_to_start_timeout),
            start_to_close_timeout: attributes.start_to_close_timeout,
        }));
        Ok(())
    }

    fn workflow_task_completed(
        &mut self,
        event: &Event,
        attributes: &WorkflowTaskCompleted,
    ) -> Result<(), &'static str> {
        self.ends_task(attributes.scheduled_event_id, true)?;
        self.previous_started_event_id = attributes.started_event_id;
        self.last_completed_event_id = event.id;
        self.sticky = attributes.sticky.clone().map(Box::new);
        self.workflow_task = None;
        self.task_failing = None;
        self.clear_buffer();
        Ok(())
    }

    /// Checks that the pending task has events and is with a worker, or is not.
    fn ends_task(
        &mut self,
        scheduled_event_id: EventId,
        started: bool,
    ) -> Result<(), &'static str> {
        let task = self.pending_task(scheduled_event_id)?;
        if task.transient || task.started.is_some() != started {
            return Err(if started {
                "the workflow task is not with a worker"
            } else {
                "the workflow task does not wait for a worker"
            });
        }
        Ok(())
    }

    /// Takes note that the pending workflow task, which has events, ended without completion. A normal one that follows has an event
    /// of its own.
    fn workflow_task_ended(&mut self, event: &Event, timed_out: bool) {
        let next = self.next_task(timed_out);
        self.clear_buffer();
        self.workflow_task = None;
        self.sticky = None;
        match next {
            Some(NextTask::Attempt { attempt, wait }) => {
                self.transient_task_follows(event.id.next(), event.at, attempt, wait);
            }
            Some(NextTask::Normal) | None => {}
        }
    }

    fn transient_task_follows(
        &mut self,
        scheduled_event_id: EventId,
        at: Timestamp,
        attempt: u32,
        wait: Millis,
    ) {
        self.workflow_task = Some(Box::new(WorkflowTaskState {
            scheduled_event_id,
            attempt,
            scheduled_at: at,
            started: None,
            transient: true,
            task_queue: self.task_queue().clone(),
            kind: TaskQueueKind::Normal,
            backoff_until: wait.non_zero().map(|wait| at.after(wait)),
            schedule_to_start_timeout: Millis::ZERO,
            start_to_close_timeout: self.workflow_task_timeout(attempt),
        }));
    }

    /// Takes note of how the pending workflow task, which has events, failed.
    fn task_failed(
        &mut self,
        at: Timestamp,
        cause: WorkflowTaskAttemptCause,
        failure: Option<&Failure>,
        identity: Option<Identity>,
    ) {
        let attempt = self.workflow_task().map_or(1, |task| task.attempt);
        self.task_fails(TaskFailed {
            attempt,
            at,
            cause,
            failure: failure.map(Failure::kept),
            identity,
        });
    }

    /// Returns the transient task that a note speaks of; nothing if the note came too late to matter.
    pub(super) fn transient_attempt(
        &mut self,
        attempt: u32,
    ) -> Result<Option<&mut WorkflowTaskState>, &'static str> {
        match self.workflow_task.as_deref_mut() {
            Some(task) if task.transient && attempt == task.attempt => Ok(Some(task)),
            Some(task) if task.transient && attempt > task.attempt => {
                Err("the workflow task has not come to that attempt")
            }
            Some(_) | None => Ok(None),
        }
    }

    pub(super) fn workflow_task_attempt_failed(
        &mut self,
        failed: TaskFailed,
    ) -> Result<(), &'static str> {
        // The log does not say of each attempt that it failed.
        let task = self
            .workflow_task()
            .filter(|task| task.transient && task.attempt <= failed.attempt)
            .ok_or("the workflow task is not at that attempt")?;
        let scheduled_event_id = task.scheduled_event_id;
        let timed_out = matches!(failed.cause, WorkflowTaskAttemptCause::TimedOut(_));
        let next = failed.attempt.saturating_add(1);
        self.clear_buffer();
        let wait = transient_backoff(next, timed_out);
        self.transient_task_follows(scheduled_event_id, failed.at, next, wait);
        self.task_fails(failed);
        Ok(())
    }
}

/// Returns what an event says of the size of its history.
fn stored(history_size_bytes: i64) -> u64 {
    u64::try_from(history_size_bytes).unwrap_or(0)
}
