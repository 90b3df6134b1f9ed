//! A run closes from outside, or is asked to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    decide::{
        Decision, Effect, Rejection,
        draft::{Draft, TaskEnd},
        next_run, payload_problem, text_problem,
    },
    event::{
        WorkflowExecutionCancelRequested, WorkflowExecutionTerminated, WorkflowExecutionTimedOut,
        WorkflowTaskFailedCause,
    },
    execution::Execution,
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    ids::{EventId, Identity, RequestId, RunId, WorkflowExecution},
    payload::Payloads,
    retry::Next,
    time::Timestamp,
};

/// Asks a workflow to cancel; its code decides what that means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCancel {
    /// Why.
    pub cause: String,
    /// Who asks.
    pub identity: Option<Identity>,
    /// Names this request: its repetition has no effect.
    pub request_id: Option<RequestId>,
    /// The asking workflow and its initiated event, if it is one.
    pub external: Option<(WorkflowExecution, EventId)>,
}

/// Ends a workflow without asking it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terminate {
    /// Why.
    pub reason: String,
    /// More of why.
    pub details: Payloads,
    /// Who.
    pub identity: Option<Identity>,
}

/// Records that cancellation was requested. A repeated request gives an empty decision. A first workflow task that
/// waits is not waited for.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::CancellationAlreadyRequested`] by another request.
pub fn request_cancel(
    exec: &Execution,
    request: &RequestCancel,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if request
        .request_id
        .as_ref()
        .is_some_and(|id| exec.has_heard_cancel(id))
    {
        return Ok(Decision::default());
    }
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    if exec.cancel_requested() {
        return Err(Rejection::CancellationAlreadyRequested);
    }
    if let Some(problem) = text_problem(&request.cause) {
        return Err(Rejection::InvalidArgument {
            field: "cause",
            problem,
        });
    }
    let external = request.external.as_ref();
    let requested = WorkflowExecutionCancelRequested {
        cause: request.cause.clone(),
        external_initiated_event_id: external.map_or(EventId::NONE, |(_, id)| *id),
        external_workflow_execution: external.map(|(run, _)| run.clone()),
        identity: request.identity.clone(),
        request_id: request.request_id.clone(),
    };
    let mut draft = Draft::of_arrival(exec, now, vec![requested.into()]);
    if exec.awaits_first_task() {
        draft.need_task();
        return Ok(draft.finish());
    }
    Ok(draft.finish_arrival())
}

/// Ends a run at once.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::InvalidArgument`] when the details are too large.
pub fn terminate(
    exec: &Execution,
    request: &Terminate,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let too_large = |field, problem| Rejection::InvalidArgument { field, problem };
    if let Some(problem) = text_problem(&request.reason) {
        return Err(too_large("reason", problem));
    }
    if let Some(problem) = payload_problem(&request.details) {
        return Err(too_large("details", problem));
    }
    Ok(terminated(exec, request, now).finish())
}

fn terminated<'a>(exec: &'a Execution, request: &Terminate, now: Timestamp) -> Draft<'a> {
    let mut draft = forced(exec, now);
    draft.event(WorkflowExecutionTerminated {
        reason: request.reason.clone(),
        details: request.details.clone(),
        identity: request.identity.clone(),
    });
    close(&mut draft, &BTreeSet::new());
    draft
}

/// Ends a run whose history has grown too long or too large.
pub(super) fn too_long(exec: &Execution, now: Timestamp, limit: &'static str) -> Decision {
    let request = Terminate {
        reason: format!("history has grown beyond {limit}"),
        details: Payloads::default(),
        identity: None,
    };
    terminated(exec, &request, now).refuse(Rejection::HistoryTooLong(limit))
}

/// Closes a run whose time passed; a new one follows if `new_run_id` is given and the retry policy says so.
pub(super) fn run_timed_out(
    exec: &Execution,
    new_run_id: Option<RunId>,
    now: Timestamp,
) -> Decision {
    let mut draft = forced(exec, now);
    let failure = Failure::new(
        "workflow run timeout",
        FailureInfo::TimedOut {
            timeout_type: TimeoutType::StartToClose,
            last_heartbeat_details: Payloads::default(),
        },
    );
    let next = match new_run_id {
        Some(_) => next_run::after_failure(exec, &failure, draft.at),
        None => Next::Final(RetryState::Timeout),
    };
    let start = |at| next_run::retry(exec, failure, at, draft.at, exec.facts());
    let (retry_state, follows) = match (next, new_run_id) {
        (Next::RetryAt(at), Some(run_id)) => match start(at) {
            Some(start) => (RetryState::InProgress, Some((run_id, start))),
            None => (RetryState::InternalServerError, None),
        },
        (Next::Final(retry_state), _) => (retry_state, None),
        (Next::RetryAt(_), None) => (RetryState::Timeout, None),
    };
    draft.event(WorkflowExecutionTimedOut {
        retry_state,
        new_execution_run_id: follows.as_ref().map(|(run_id, _)| *run_id),
    });
    close(&mut draft, &BTreeSet::new());
    if let Some((run_id, start)) = follows {
        draft.start_new_run(run_id, start);
    }
    draft.finish()
}

/// Returns a draft in which the workflow task under way has failed and what it held back has become events.
fn forced(exec: &Execution, now: Timestamp) -> Draft<'_> {
    let mut draft = Draft::new(exec, now);
    if exec
        .workflow_task()
        .is_some_and(|task| task.started.is_some())
    {
        draft.end_task(TaskEnd::Failed(
            WorkflowTaskFailedCause::ForceCloseCommand,
            None,
            None,
        ));
        draft.flush();
    }
    draft
}

/// Says what the close of a run, its last event, asks of others. `ended` are activities that ended with the close.
pub(super) fn close(draft: &mut Draft<'_>, ended: &BTreeSet<EventId>) {
    let exec = draft.exec;
    draft.closes();
    draft.effects.retain(|effect| match effect {
        // Whom nobody waits for need not begin.
        Effect::DispatchActivityTask { .. } | Effect::DispatchWorkflowTask { .. } => false,
        Effect::StartChild {
            initiated_event_id, ..
        } => draft.abandoned.contains(initiated_event_id),
        Effect::CancelActivity { .. }
        | Effect::SignalExternal { .. }
        | Effect::CancelExternal { .. }
        | Effect::CloseChild { .. }
        | Effect::NotifyParent { .. }
        | Effect::StartNewRun { .. } => true,
    });
    let running = exec
        .activities()
        .filter(|activity| activity.is_started() && !ended.contains(&activity.scheduled_event_id()))
        .map(Effect::cancel_activity);
    let parent = draft
        .last_event()
        .and_then(|closed| exec.notify_parent(&closed.kind));
    let effects: Vec<_> = running
        .chain(exec.close_children(exec.children()))
        .chain(parent)
        .collect();
    draft.effects.extend(effects);
}
