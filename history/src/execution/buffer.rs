//! What happened while a workflow task was with a worker: it becomes events when that task ends.

use super::{AttemptState, Execution, memory};
use crate::{event::EventKind, ids::EventId, requests::Asks, time::Timestamp};

impl Execution {
    /// Keeps an event for later. What it ends, ends now.
    pub(super) fn buffered(&mut self, at: Timestamp, kind: &EventKind) -> Result<(), &'static str> {
        self.task_is_with_a_worker(at)?;
        match kind {
            EventKind::ActivityTaskStarted(attributes) => {
                self.activity_is_open(attributes.scheduled_event_id)?;
                self.change_activity(attributes.scheduled_event_id, |activity| {
                    activity.attempt = attributes.attempt;
                })?;
            }
            EventKind::ActivityTaskCompleted(attributes) => {
                self.activity_end_was_buffered(attributes.scheduled_event_id)?;
            }
            EventKind::ActivityTaskFailed(attributes) => {
                self.activity_end_was_buffered(attributes.scheduled_event_id)?;
            }
            EventKind::ActivityTaskTimedOut(attributes) => {
                self.activity_end_was_buffered(attributes.scheduled_event_id)?;
            }
            EventKind::ActivityTaskCanceled(attributes) => {
                self.activity_end_was_buffered(attributes.scheduled_event_id)?;
            }
            EventKind::TimerFired(attributes) => {
                self.timer_fire_was_buffered(&attributes.timer_id, attributes.started_event_id)?;
            }
            EventKind::WorkflowExecutionSignaled(attributes) => {
                self.message_was_heard(Asks::Signal, attributes.request_id.as_ref());
            }
            EventKind::WorkflowExecutionCancelRequested(attributes) => {
                if self.cancel_requested() {
                    return Err("cancellation was requested before");
                }
                self.cancel_was_requested(attributes);
            }
            EventKind::ChildWorkflowExecutionStarted(attributes) => self.child_started(
                attributes.initiated_event_id,
                attributes.workflow_execution.run_id,
                EventId::NONE,
            )?,
            EventKind::StartChildWorkflowExecutionFailed(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, false)?;
            }
            EventKind::ChildWorkflowExecutionCompleted(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, true)?;
            }
            EventKind::ChildWorkflowExecutionFailed(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, true)?;
            }
            EventKind::ChildWorkflowExecutionCanceled(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, true)?;
            }
            EventKind::ChildWorkflowExecutionTimedOut(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, true)?;
            }
            EventKind::ChildWorkflowExecutionTerminated(attributes) => {
                self.child_close_was_buffered(attributes.initiated_event_id, true)?;
            }
            EventKind::ExternalWorkflowExecutionSignaled(attributes) => {
                self.external_answer_was_buffered(kind, attributes.initiated_event_id)?;
            }
            EventKind::SignalExternalWorkflowExecutionFailed(attributes) => {
                self.external_answer_was_buffered(kind, attributes.initiated_event_id)?;
            }
            EventKind::ExternalWorkflowExecutionCancelRequested(attributes) => {
                self.external_answer_was_buffered(kind, attributes.initiated_event_id)?;
            }
            EventKind::RequestCancelExternalWorkflowExecutionFailed(attributes) => {
                self.external_answer_was_buffered(kind, attributes.initiated_event_id)?;
            }
            _ => return Err("an event of this type is never buffered"),
        }
        self.pending_bytes += memory::event_bytes(kind);
        self.buffer.push(kind.clone());
        Ok(())
    }

    /// Checks that a workflow task is under way. That a transient one was handed out may have been lost: then this
    /// record is what says so.
    fn task_is_with_a_worker(&mut self, at: Timestamp) -> Result<(), &'static str> {
        match self.workflow_task.as_deref_mut() {
            Some(task) if task.started.is_some() => Ok(()),
            Some(task) if task.transient => {
                task.was_handed_out(at, None, 0);
                Ok(())
            }
            Some(_) | None => Err("no workflow task is with a worker"),
        }
    }

    fn activity_is_open(&self, scheduled_event_id: EventId) -> Result<(), &'static str> {
        match self.activities.get(&scheduled_event_id) {
            Some(activity) if activity.state != AttemptState::Ended => Ok(()),
            Some(_) | None => Err("the activity is not pending"),
        }
    }

    fn activity_end_was_buffered(
        &mut self,
        scheduled_event_id: EventId,
    ) -> Result<(), &'static str> {
        self.activity_is_open(scheduled_event_id)?;
        self.change_activity(scheduled_event_id, |activity| {
            activity.state = AttemptState::Ended;
        })
    }

    /// Empties the buffer: the events follow.
    pub(super) fn clear_buffer(&mut self) {
        for kind in std::mem::take(&mut self.buffer) {
            self.pending_bytes -= memory::event_bytes(&kind);
        }
    }
}
