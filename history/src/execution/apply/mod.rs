//! [`Execution::apply`]: the one way in which state changes.

mod activity;
mod attempts;
mod buffer;
mod child_workflow;
mod end;
mod external;
mod requests;
mod timer;
mod workflow_task;

use std::sync::Arc;

use end::{End, Ended};

use super::{
    corrupt::Corrupt,
    external::External,
    memory,
    run::{Execution, NOT_NEXT},
    status::Status,
    upserted::upsert,
    workflow_task::{WorkflowTaskStage, WorkflowTaskState},
};
use crate::{
    event::{Event, EventKind, RefersTo, Subject, WorkflowExecutionCancelRequested},
    ids::EventId,
    record::{Note, Noted, Record, TaskFailed},
    requests::Asks,
};

const NOT_RECORDED: &str = "this engine does not record events of this type";

impl Execution {
    /// Adds a record to the run. It is the only way in which state changes, live and in recovery.
    ///
    /// # Errors
    /// When the record can't follow those before it. The execution is of no use then.
    pub fn apply(&mut self, record: &Record) -> Result<(), Corrupt> {
        let outcome = match record {
            Record::Event(event) => self.apply_event(event),
            Record::Note(noted) => self.apply_note(noted),
        };
        outcome.map_err(|problem| Corrupt::new(self.run_id, describe(self), record, problem))?;
        self.last_record_at = self.last_record_at.max(record.at());
        Ok(())
    }

    fn apply_event(&mut self, event: &Arc<Event>) -> Result<(), &'static str> {
        if event.id != self.next_event_id {
            return Err(NOT_NEXT);
        }
        if event.at < self.last_event_at {
            return Err("it lies before the event before it");
        }
        if self.close_event.is_some() {
            return Err("the run is closed");
        }
        self.apply_later_event(event, &event.kind)?;
        self.next_event_id = event.id.next();
        self.last_event_at = event.at;
        Ok(())
    }

    fn apply_later_event(
        &mut self,
        event: &Arc<Event>,
        kind: &EventKind,
    ) -> Result<(), &'static str> {
        if Status::closed_by(kind).is_some() {
            return self.run_closed(event);
        }
        if is_of_workflow_task(kind) {
            return self.apply_workflow_task(event);
        }
        if let Some(completed) = kind.made_by_command_of() {
            self.follows_completion(completed)?;
            return self.apply_command_event(event);
        }
        self.may_arrive()?;
        self.apply_arrival(event)
    }

    fn run_closed(&mut self, event: &Arc<Event>) -> Result<(), &'static str> {
        if self
            .workflow_task()
            .is_some_and(WorkflowTaskState::is_started)
        {
            return Err("a workflow task is with a worker");
        }
        let completed = event.kind.made_by_command_of();
        if let Some(completed) = completed {
            self.follows_completion(completed)?;
        }
        let undelivered = self.undelivered_at(event, completed);
        // Nothing that was pending can happen any more; who asks about a closed run reads its history.
        let (namespace, started) = (self.namespace.clone(), Arc::clone(&self.started));
        let mut closed = Self::started_by(namespace, self.run_id, started);
        closed.awaits_first_task = false;
        closed.pending_bytes += memory::kept_bytes(event);
        // A request whose answer was lost may come again.
        closed.requests = self.requests.take();
        closed.pending_bytes += closed
            .requests
            .as_ref()
            .map_or(0, |requests| requests.bytes());
        closed.resets = std::mem::take(&mut self.resets);
        closed.close_event = Some(Arc::clone(event));
        closed.next_event_id = self.next_event_id;
        closed.previous_started_event_id = self.previous_started_event_id;
        closed.last_completed_event_id = self.last_completed_event_id;
        closed.cancel_reason = self.cancel_reason.take();
        closed.pending_bytes += closed.cancel_reason().map_or(0, str::len);
        closed.signals = self.signals;
        closed.upserted = self.upserted.take();
        closed.undelivered = undelivered.into();
        *self = closed;
        Ok(())
    }

    /// Checks that a command's event comes with the completion whose command made it.
    fn follows_completion(&self, completed: EventId) -> Result<(), &'static str> {
        if self.workflow_task.is_some() || completed != self.last_completed_event_id {
            return Err("the completion whose command made it is not the last thing that happened");
        }
        Ok(())
    }

    /// Checks that no workflow task is under way, during which events are buffered. A transient task that waits
    /// gives way: a normal one has to show the event to workflow code.
    fn may_arrive(&mut self) -> Result<(), &'static str> {
        match self.workflow_task() {
            Some(task) if task.is_started() => {
                Err("a workflow task is with a worker, so it should be buffered")
            }
            Some(task) if task.is_transient() => {
                self.workflow_task = None;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn apply_command_event(&mut self, event: &Arc<Event>) -> Result<(), &'static str> {
        match &event.kind {
            EventKind::ActivityTaskScheduled(attributes) => {
                self.activity_scheduled(event, attributes)
            }
            EventKind::ActivityTaskCancelRequested(attributes) => {
                self.change_activity(attributes.scheduled_event_id, |activity| {
                    activity.cancel_requested_event_id = Some(event.id);
                })
            }
            EventKind::TimerStarted(attributes) => self.timer_started(event, attributes),
            EventKind::TimerCanceled(attributes) => {
                self.timer_ended(&attributes.timer_id, attributes.started_event_id)
            }
            EventKind::StartChildWorkflowExecutionInitiated(_) => {
                self.child_initiated(event);
                Ok(())
            }
            EventKind::SignalExternalWorkflowExecutionInitiated(_) => {
                self.external_initiated(External::Signal, event);
                Ok(())
            }
            EventKind::RequestCancelExternalWorkflowExecutionInitiated(_) => {
                self.external_initiated(External::Cancel, event);
                Ok(())
            }
            EventKind::UpsertWorkflowSearchAttributes(attributes) => {
                let upserted = self.upserted.get_or_insert_default();
                upsert(
                    &mut self.pending_bytes,
                    &mut upserted.search_attributes,
                    &attributes.search_attributes,
                );
                Ok(())
            }
            EventKind::WorkflowPropertiesModified(attributes) => {
                let upserted = self.upserted.get_or_insert_default();
                upsert(
                    &mut self.pending_bytes,
                    &mut upserted.memo,
                    &attributes.upserted_memo,
                );
                Ok(())
            }
            EventKind::MarkerRecorded(_) => Ok(()),
            _ => Err(NOT_RECORDED),
        }
    }

    fn apply_arrival(&mut self, event: &Arc<Event>) -> Result<(), &'static str> {
        match &event.kind {
            EventKind::ActivityTaskStarted(attributes) => {
                self.change_activity(attributes.scheduled_event_id, |activity| {
                    if !activity.started_event_id.is_none() {
                        return Err("the activity has its started event");
                    }
                    activity.started_event_id = event.id;
                    Ok(())
                })?
            }
            EventKind::TimerFired(attributes) => {
                self.timer_ended(&attributes.timer_id, attributes.started_event_id)
            }
            EventKind::WorkflowExecutionSignaled(attributes) => {
                self.signals += 1;
                self.message_was_heard(Asks::Signal, attributes.request_id.as_ref());
                Ok(())
            }
            EventKind::WorkflowExecutionCancelRequested(attributes) => {
                self.cancel_was_requested(attributes);
                Ok(())
            }
            EventKind::ChildWorkflowExecutionStarted(attributes) => self.child_started(
                attributes.initiated_event_id,
                attributes.workflow_execution.run_id,
                event.id,
            ),
            EventKind::WorkflowExecutionStarted(_) => Err("the run has started"),
            kind => self.apply_end(kind),
        }
    }

    fn apply_end(&mut self, kind: &EventKind) -> Result<(), &'static str> {
        let End { event_id, what } = End::of(kind).ok_or(NOT_RECORDED)?;
        match what {
            Ended::Activity { started_event_id } => self.activity_ended(event_id, started_event_id),
            Ended::ChildThatDidNotStart => self.child_closed(event_id, EventId::NONE),
            Ended::Child { started_event_id } => self.child_closed(event_id, started_event_id),
            Ended::External(external) => self.external_answered(external, event_id),
        }
    }

    fn apply_note(&mut self, noted: &Noted) -> Result<(), &'static str> {
        if self.close_event.is_some() {
            return Err("the run is closed");
        }
        let since = self
            .workflow_task()
            .map_or(self.last_event_at, |task| task.scheduled_at)
            .max(self.last_event_at);
        if !may_come_late(&noted.note) && noted.at < since {
            return Err("it lies before what it follows");
        }
        match &noted.note {
            Note::Buffered { event } => self.buffered(noted.at, event),
            Note::WorkflowTaskAttemptScheduled { attempt } => {
                if let Some(task) = self.transient_attempt(*attempt)? {
                    // One that was handed out waits no more.
                    if !task.is_started() {
                        task.stage = WorkflowTaskStage::TransientScheduled;
                    }
                }
                Ok(())
            }
            Note::WorkflowTaskAttemptStarted {
                attempt,
                identity,
                history_size_bytes,
            } => {
                if let Some(task) = self.transient_attempt(*attempt)?
                    && !task.is_started()
                {
                    task.was_handed_out(noted.at, identity.clone(), *history_size_bytes);
                }
                Ok(())
            }
            Note::WorkflowTaskAttemptFailed {
                attempt,
                cause,
                failure,
                identity,
            } => self.workflow_task_attempt_failed(TaskFailed {
                attempt: *attempt,
                at: noted.at,
                cause: *cause,
                failure: failure.as_deref().cloned(),
                identity: identity.clone(),
            }),
            note @ (Note::ActivityAttempts { .. } | Note::WorkflowTaskAttempts { .. }) => {
                self.apply_attempts(note);
                Ok(())
            }
            note @ (Note::ActivityAttemptStarted { .. }
            | Note::ActivityAttemptScheduled { .. }
            | Note::ActivityAttemptFailed { .. }
            | Note::ActivityHeartbeat { .. }) => self.apply_activity_note(noted.at, note),
            Note::RequestsHeard { runs } => self.requests_were_heard(runs),
            Note::StartAttached { request_id } => {
                self.start_was_attached(request_id);
                Ok(())
            }
        }
    }

    pub(super) fn cancel_was_requested(&mut self, attributes: &WorkflowExecutionCancelRequested) {
        self.pending_bytes -= self.cancel_reason().map_or(0, str::len);
        self.cancel_reason = Some(attributes.cause.as_str().into());
        self.pending_bytes += attributes.cause.len();
        self.message_was_heard(Asks::Cancel, attributes.request_id.as_ref());
    }
}

/// Says in a few words where a run stands.
fn describe(execution: &Execution) -> String {
    let last = EventId(execution.next_event_id.0 - 1);
    if execution.close_event.is_some() {
        return format!("{last} ({})", execution.status().as_str());
    }
    match &execution.workflow_task {
        None => format!("{last} (no workflow task)"),
        Some(task) => format!(
            "{last} ({}workflow task {} attempt {} {})",
            if task.is_transient() {
                "transient "
            } else {
                ""
            },
            task.scheduled_event_id,
            task.attempt,
            if task.is_started() {
                "started"
            } else {
                "scheduled"
            },
        ),
    }
}

/// What is kept beside the log says where things stand, whatever came after it; notes of activities follow nothing but
/// each other. All others stand where they were made.
fn may_come_late(note: &Note) -> bool {
    matches!(
        note,
        Note::ActivityAttemptStarted { .. }
            | Note::ActivityAttemptScheduled { .. }
            | Note::ActivityAttemptFailed { .. }
            | Note::ActivityHeartbeat { .. }
            | Note::ActivityAttempts { .. }
            | Note::WorkflowTaskAttempts { .. }
    )
}

fn is_of_workflow_task(kind: &EventKind) -> bool {
    let of_task = |refers_to: RefersTo| refers_to.subject == Subject::WorkflowTask;
    matches!(kind, EventKind::WorkflowTaskScheduled(_)) || kind.refers_to().is_some_and(of_task)
}
