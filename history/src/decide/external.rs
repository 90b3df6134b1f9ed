//! What this workflow hears of the signals and cancellations that it sent to others.

use crate::{
    decide::{Decision, Rejection, draft::Draft},
    event::{
        EventKind, ExternalFailedCause, ExternalWorkflowExecutionCancelRequested,
        ExternalWorkflowExecutionSignaled, RequestCancelExternalWorkflowExecutionFailed,
        SignalExternalWorkflowExecutionFailed,
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
    answer(exec, initiated_event_id, now, |kind| {
        let EventKind::SignalExternalWorkflowExecutionInitiated(initiated) = kind else {
            return None;
        };
        let answer = ExternalWorkflowExecutionSignaled {
            initiated_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
        };
        Some(answer.into())
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
    answer(exec, initiated_event_id, now, |kind| {
        let EventKind::SignalExternalWorkflowExecutionInitiated(initiated) = kind else {
            return None;
        };
        let answer = SignalExternalWorkflowExecutionFailed {
            cause,
            workflow_task_completed_event_id: initiated.workflow_task_completed_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
            initiated_event_id,
        };
        Some(answer.into())
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
    answer(exec, initiated_event_id, now, |kind| {
        let EventKind::RequestCancelExternalWorkflowExecutionInitiated(initiated) = kind else {
            return None;
        };
        let answer = ExternalWorkflowExecutionCancelRequested {
            initiated_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
        };
        Some(answer.into())
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
    answer(exec, initiated_event_id, now, |kind| {
        let EventKind::RequestCancelExternalWorkflowExecutionInitiated(initiated) = kind else {
            return None;
        };
        let answer = RequestCancelExternalWorkflowExecutionFailed {
            cause,
            workflow_task_completed_event_id: initiated.workflow_task_completed_event_id,
            namespace: initiated.namespace.clone(),
            workflow_id: initiated.workflow_id.clone(),
            run_id: initiated.run_id,
            initiated_event_id,
        };
        Some(answer.into())
    })
}

/// Records the answer to what an event has asked for, if it has no other and is answered like that.
fn answer(
    exec: &Execution,
    initiated_event_id: EventId,
    now: Timestamp,
    answer: impl FnOnce(&EventKind) -> Option<EventKind>,
) -> Result<Decision, Rejection> {
    Ok(
        match unanswered(exec, initiated_event_id)?.and_then(answer) {
            Some(kind) => Draft::of_arrival(exec, now, vec![kind]).finish_arrival(),
            None => Decision::default(),
        },
    )
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
        .filter(|external| !external.end_is_buffered)
        .map(|external| &external.initiated.kind))
}
