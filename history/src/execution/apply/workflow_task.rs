//! What events and notes do to the pending workflow task.

use crate::{
    event::{
        Event, EventKind, TaskQueueKind, WorkflowTaskCompleted, WorkflowTaskFailedCause,
        WorkflowTaskScheduled,
    },
    execution::{
        next_task::{NextTask, transient_backoff},
        run::{BeganWith, Execution},
        transient::stored,
        workflow_task::{WorkflowTaskStage, WorkflowTaskStart, WorkflowTaskState},
    },
    failure::{Failure, TimeoutType},
    ids::{EventId, Identity},
    record::{TaskFailed, WorkflowTaskAttemptCause},
    time::{Millis, Timestamp},
};

impl Execution {
    pub(super) fn apply_workflow_task(&mut self, event: &Event) -> Result<(), &'static str> {
        match &event.kind {
            EventKind::WorkflowTaskScheduled(attributes) => {
                self.workflow_task_was_scheduled(event, attributes)
            }
            EventKind::WorkflowTaskStarted(attributes) => {
                let task = self.pending_task(attributes.scheduled_event_id)?;
                if !matches!(task.stage, WorkflowTaskStage::Scheduled { .. }) {
                    return Err("the workflow task is not scheduled");
                }
                task.stage = WorkflowTaskStage::Started(WorkflowTaskStart {
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
            Some(task) if !task.is_transient() => return Err("a workflow task is pending"),
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
            stage: WorkflowTaskStage::Scheduled {
                schedule_to_start_timeout: sticky
                    .map_or(Millis::ZERO, |sticky| sticky.schedule_to_start_timeout),
            },
            task_queue: attributes.task_queue.clone(),
            kind: attributes.task_queue_kind,
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
        if task.is_transient() || task.is_started() != started {
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
            stage: WorkflowTaskStage::transient_until(wait.non_zero().map(|wait| at.after(wait))),
            task_queue: self.task_queue().clone(),
            kind: TaskQueueKind::Normal,
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
            Some(task) if task.is_transient() && attempt == task.attempt => Ok(Some(task)),
            Some(task) if task.is_transient() && attempt > task.attempt => {
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
            .filter(|task| task.is_transient() && task.attempt <= failed.attempt)
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
