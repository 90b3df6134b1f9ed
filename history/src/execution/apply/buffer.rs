//! What happened while a workflow task was with a worker: it becomes events when that task ends.

use super::end::{End, Ended};
use crate::{
    event::EventKind,
    execution::{activity::AttemptState, memory, run::Execution},
    ids::EventId,
    requests::Asks,
    time::Timestamp,
};

const NEVER_BUFFERED: &str = "an event of this type is never buffered";

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
            kind => self.end_was_buffered(kind)?,
        }
        self.pending_bytes += memory::event_bytes(kind);
        self.buffer.push(kind.clone());
        Ok(())
    }

    fn end_was_buffered(&mut self, kind: &EventKind) -> Result<(), &'static str> {
        let End { event_id, what } = End::of(kind).ok_or(NEVER_BUFFERED)?;
        match what {
            Ended::Activity { .. } => self.activity_end_was_buffered(event_id),
            Ended::ChildThatDidNotStart => self.child_close_was_buffered(event_id, false),
            Ended::Child { .. } => self.child_close_was_buffered(event_id, true),
            Ended::External(external) => self.external_answer_was_buffered(external, event_id),
        }
    }

    /// Checks that a workflow task is under way. That a transient one was handed out may have been lost: then this
    /// record is what says so.
    fn task_is_with_a_worker(&mut self, at: Timestamp) -> Result<(), &'static str> {
        match self.workflow_task.as_deref_mut() {
            Some(task) if task.is_started() => Ok(()),
            Some(task) if task.is_transient() => {
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
