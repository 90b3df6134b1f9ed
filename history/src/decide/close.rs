//! A run closes from outside, or is asked to.

use std::collections::BTreeSet;

use crate::{
    decide::{
        Decision, Rejection,
        closing::{close, forced, terminated},
        draft::Draft,
        next_run::{self, AfterFailure},
        size::{payload_problem, text_problem},
    },
    event::{WorkflowExecutionCancelRequested, WorkflowExecutionTimedOut},
    execution::Execution,
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    ids::{EventId, RunId},
    payload::Payloads,
    requests::{RequestCancel, Terminate},
    time::Timestamp,
};

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
    let AfterFailure { retry_state, next } = match new_run_id {
        Some(run_id) => next_run::after_failure(exec, &failure, run_id, draft.at, || exec.facts()),
        // There is no time left for another one.
        None => AfterFailure::none(RetryState::Timeout),
    };
    draft.event(WorkflowExecutionTimedOut {
        retry_state,
        new_execution_run_id: next.as_ref().map(|next| next.run_id),
    });
    close(&mut draft, &BTreeSet::new());
    if let Some(next) = next {
        draft.start_new_run(next.run_id, next.start);
    }
    draft.finish()
}
