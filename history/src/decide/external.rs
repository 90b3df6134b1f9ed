//! What this workflow hears of the signals and cancellations that it sent to others.

use crate::{
    decide::{Decision, Rejection, draft::Draft},
    event::{
        EventKind, ExternalFailedCause, ExternalWorkflowExecutionCancelRequested,
        ExternalWorkflowExecutionSignaled, RequestCancelExternalWorkflowExecutionFailed,
        RequestCancelExternalWorkflowExecutionInitiated, SignalExternalWorkflowExecutionFailed,
        SignalExternalWorkflowExecutionInitiated,
    },
    execution::Execution,
    ids::EventId,
    time::Timestamp,
};

/// Records that a signal reached its target. A second answer gives an empty decision, here and below.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn external_signaled(
    exec: &Execution,
    initiated_event_id: EventId,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    answer_signal(exec, initiated_event_id, now, |initiated| {
        ExternalWorkflowExecutionSignaled {
            initiated_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
        }
        .into()
    })
}

/// Records that a signal did not reach its target.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn external_signal_failed(
    exec: &Execution,
    initiated_event_id: EventId,
    cause: ExternalFailedCause,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    answer_signal(exec, initiated_event_id, now, |initiated| {
        SignalExternalWorkflowExecutionFailed {
            cause,
            workflow_task_completed_event_id: initiated.workflow_task_completed_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
            initiated_event_id,
        }
        .into()
    })
}

/// Records that a cancellation reached its target.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn external_cancel_requested(
    exec: &Execution,
    initiated_event_id: EventId,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    answer_cancel(exec, initiated_event_id, now, |initiated| {
        ExternalWorkflowExecutionCancelRequested {
            initiated_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
        }
        .into()
    })
}

/// Records that a cancellation did not reach its target.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn external_cancel_failed(
    exec: &Execution,
    initiated_event_id: EventId,
    cause: ExternalFailedCause,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    answer_cancel(exec, initiated_event_id, now, |initiated| {
        RequestCancelExternalWorkflowExecutionFailed {
            cause,
            workflow_task_completed_event_id: initiated.workflow_task_completed_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
            initiated_event_id,
        }
        .into()
    })
}

fn answer_signal(
    exec: &Execution,
    initiated_event_id: EventId,
    now: Timestamp,
    answer: impl FnOnce(&SignalExternalWorkflowExecutionInitiated) -> EventKind,
) -> Result<Decision, Rejection> {
    let kind = match unanswered(exec, initiated_event_id)? {
        Some(EventKind::SignalExternalWorkflowExecutionInitiated(initiated)) => answer(initiated),
        Some(_) | None => return Ok(Decision::default()),
    };
    Ok(Draft::of_arrival(exec, now, vec![kind]).finish_arrival())
}

fn answer_cancel(
    exec: &Execution,
    initiated_event_id: EventId,
    now: Timestamp,
    answer: impl FnOnce(&RequestCancelExternalWorkflowExecutionInitiated) -> EventKind,
) -> Result<Decision, Rejection> {
    let kind = match unanswered(exec, initiated_event_id)? {
        Some(EventKind::RequestCancelExternalWorkflowExecutionInitiated(initiated)) => {
            answer(initiated)
        }
        Some(_) | None => return Ok(Decision::default()),
    };
    Ok(Draft::of_arrival(exec, now, vec![kind]).finish_arrival())
}

fn unanswered(
    exec: &Execution,
    initiated_event_id: EventId,
) -> Result<Option<&EventKind>, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    Ok(exec
        .external(initiated_event_id)
        .filter(|external| !external.answered)
        .map(|external| &external.initiated.kind))
}
