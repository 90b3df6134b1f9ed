//! Workflow code's commands become events, all of them or none.

mod activity;
mod child_workflow;
mod close;
mod external;
mod facts;
mod timer;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    command::Command,
    decide::{Effect, draft::Draft, facts_problem, keys_problem, size},
    event::{
        EventKind, MarkerRecorded, Memo, RequestCancelExternalWorkflowExecutionInitiated,
        SearchAttributes, SignalExternalWorkflowExecutionInitiated,
        WorkflowTaskFailedCause as Cause,
    },
    execution::Execution,
    ids::{ActivityId, EventId, InvalidId, RunId, TimerId},
    limits::PENDING_MAX,
};

/// Why a command can't be carried out.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) cause: Cause,
    /// What to change.
    pub(super) message: String,
}

/// Returns a refusal.
fn refused<T>(cause: Cause, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        cause,
        message: message.into(),
    })
}

/// Refuses when there is a problem with a field.
fn check(cause: Cause, field: &str, problem: Option<String>) -> Result<(), Refused> {
    match problem {
        None => Ok(()),
        Some(problem) => refused(cause, format!("{field}: {problem}")),
    }
}

/// Refuses facts with a key that nobody may have, or that are too large.
fn check_facts(cause: Cause, field: &str, facts: &Memo) -> Result<(), Refused> {
    check(cause, field, keys_problem(facts.keys()))?;
    check_size(field, facts_problem(facts))
}

/// Refuses an id that is not legal.
fn check_id(cause: Cause, problem: Option<InvalidId>) -> Result<(), Refused> {
    match problem {
        None => Ok(()),
        Some(problem) => refused(cause, problem.to_string()),
    }
}

/// Refuses what is too large to be recorded.
fn check_size(field: &str, problem: Option<String>) -> Result<(), Refused> {
    check(Cause::PayloadsTooLarge, field, problem)
}

/// One completion's commands on their way to events, and what they changed so far.
pub(super) struct Turn<'t, 'a> {
    draft: &'t mut Draft<'a>,
    exec: &'a Execution,
    completed: EventId,
    new_run_id: RunId,
    /// The run closes in this turn.
    pub(super) closed: bool,
    /// Another workflow task must follow.
    pub(super) needs_task: bool,
    /// Activities scheduled in this turn and still pending.
    scheduled: BTreeMap<ActivityId, EventId>,
    /// Activities that ended in this turn.
    ended: BTreeSet<EventId>,
    /// Activities whose cancellation was requested in this turn.
    cancel_requested: BTreeSet<EventId>,
    /// Timers started in this turn and still running.
    timers: BTreeMap<TimerId, EventId>,
    /// Timers canceled in this turn.
    canceled_timers: BTreeSet<EventId>,
    /// What changed of the memo in this turn.
    memo: Memo,
    /// What changed of the search attributes in this turn.
    search_attributes: SearchAttributes,
    children: usize,
    signals: usize,
    cancels: usize,
}

impl<'t, 'a> Turn<'t, 'a> {
    pub(super) fn new(draft: &'t mut Draft<'a>, completed: EventId, new_run_id: RunId) -> Self {
        let exec = draft.exec;
        Self {
            draft,
            exec,
            completed,
            new_run_id,
            closed: false,
            needs_task: false,
            scheduled: BTreeMap::new(),
            ended: BTreeSet::new(),
            cancel_requested: BTreeSet::new(),
            timers: BTreeMap::new(),
            canceled_timers: BTreeSet::new(),
            memo: Memo::new(),
            search_attributes: SearchAttributes::new(),
            children: exec.children().len(),
            signals: exec.external_signals().len(),
            cancels: exec.external_cancels().len(),
        }
    }

    /// Carries the commands out, in order, or says what is wrong with the first that can't be.
    pub(super) fn carry_out(&mut self, commands: &[Command]) -> Result<(), Refused> {
        if let Some(problem) = size::commands_problem(commands) {
            return refused(Cause::RequestTooLarge, problem);
        }
        for (at, command) in commands.iter().enumerate() {
            if command.closes() && at + 1 < commands.len() {
                return refused(
                    close::bad_attributes(command),
                    format!(
                        "{}: it closes the run, so it must be the last command",
                        command.name()
                    ),
                );
            }
            self.carry_out_one(command)?;
        }
        Ok(())
    }

    fn carry_out_one(&mut self, command: &Command) -> Result<(), Refused> {
        match command {
            Command::ScheduleActivityTask(activity) => self.schedule_activity(activity),
            Command::RequestCancelActivityTask { scheduled_event_id } => {
                self.request_cancel_activity(*scheduled_event_id)
            }
            Command::StartTimer {
                timer_id,
                start_to_fire_timeout,
            } => self.start_timer(timer_id, *start_to_fire_timeout),
            Command::CancelTimer { timer_id } => self.cancel_timer(timer_id),
            Command::CompleteWorkflowExecution { result } => self.complete_workflow(result),
            Command::FailWorkflowExecution { failure } => self.fail_workflow(failure),
            Command::CancelWorkflowExecution { details } => self.cancel_workflow(details),
            Command::ContinueAsNewWorkflowExecution(next) => self.continue_as_new(next),
            Command::StartChildWorkflowExecution(child) => self.start_child(child),
            Command::RequestCancelExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                child_workflow_only,
                reason,
            } => self.request_cancel_external(RequestCancelExternalWorkflowExecutionInitiated {
                workflow_task_completed_event_id: self.completed,
                namespace: namespace.clone(),
                workflow_id: workflow_id.clone(),
                run_id: *run_id,
                child_workflow_only: *child_workflow_only,
                reason: reason.clone(),
            }),
            Command::SignalExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                signal_name,
                input,
                child_workflow_only,
                header,
            } => self.signal_external(SignalExternalWorkflowExecutionInitiated {
                workflow_task_completed_event_id: self.completed,
                namespace: namespace.clone(),
                workflow_id: workflow_id.clone(),
                run_id: *run_id,
                signal_name: signal_name.clone(),
                input: input.clone(),
                child_workflow_only: *child_workflow_only,
                header: header.clone(),
            }),
            Command::RecordMarker {
                marker_name,
                details,
                header,
                failure,
            } => self.record_marker(MarkerRecorded {
                marker_name: marker_name.clone(),
                details: details.clone(),
                workflow_task_completed_event_id: self.completed,
                header: header.clone(),
                failure: failure.as_deref().cloned(),
            }),
            Command::UpsertWorkflowSearchAttributes { search_attributes } => {
                self.upsert_search_attributes(search_attributes)
            }
            Command::ModifyWorkflowProperties { upserted_memo } => {
                self.modify_properties(upserted_memo)
            }
            Command::ProtocolMessage { .. } => refused(
                Cause::FeatureDisabled,
                "ProtocolMessage: updates are not offered here; use a signal",
            ),
            Command::ScheduleNexusOperation { .. }
            | Command::RequestCancelNexusOperation { .. } => refused(
                Cause::FeatureDisabled,
                format!(
                    "{}: Nexus is not offered here; use an activity or a child workflow",
                    command.name()
                ),
            ),
        }
    }

    /// Adds an initiated event and what it asks of others.
    fn initiate(&mut self, kind: impl Into<EventKind>) -> EventId {
        let id = self.draft.event(kind);
        let effect = self
            .draft
            .last_event()
            .and_then(|event| Effect::of_initiated(self.exec, event));
        self.draft.effects.extend(effect);
        id
    }
}

/// Refuses one more of what is pending.
fn check_pending(pending: usize, cause: Cause, what: &str) -> Result<(), Refused> {
    if pending < PENDING_MAX {
        return Ok(());
    }
    refused(
        cause,
        format!("{PENDING_MAX} {what} are pending, the most a run may have; wait for some first"),
    )
}
