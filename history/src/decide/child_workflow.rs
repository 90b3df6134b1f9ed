//! What a parent hears of a child: its start, and its end.

use crate::{
    decide::{Decision, Rejection, draft::Draft},
    event::{
        ChildWorkflowExecutionCanceled, ChildWorkflowExecutionCompleted,
        ChildWorkflowExecutionFailed, ChildWorkflowExecutionStarted,
        ChildWorkflowExecutionTerminated, ChildWorkflowExecutionTimedOut, EventKind,
        StartChildFailedCause, StartChildWorkflowExecutionFailed,
    },
    execution::{ChildState, Execution},
    ids::{EventId, RunId, WorkflowExecution},
    requests::{ChildClosed, ChildOutcome},
    time::Timestamp,
};

/// Records that a child's first run started. A repeated answer gives an empty decision, here and below.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn child_started(
    exec: &Execution,
    initiated_event_id: EventId,
    run_id: RunId,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let Some(child) = open_child(exec, initiated_event_id)?.filter(|child| child.start.is_none())
    else {
        return Ok(Decision::default());
    };
    let started = started(child, run_id);
    Ok(Draft::of_arrival(exec, now, vec![started]).finish_arrival())
}

/// Records that a child could not start.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn child_start_failed(
    exec: &Execution,
    initiated_event_id: EventId,
    cause: StartChildFailedCause,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let Some(child) = open_child(exec, initiated_event_id)?.filter(|child| child.start.is_none())
    else {
        return Ok(Decision::default());
    };
    let attributes = child.attributes();
    let failed = StartChildWorkflowExecutionFailed {
        namespace: attributes.namespace.clone(),
        workflow_id: attributes.workflow_id.clone(),
        workflow_type: attributes.workflow_type.clone(),
        cause,
        initiated_event_id,
        workflow_task_completed_event_id: attributes.workflow_task_completed_event_id,
    };
    Ok(Draft::of_arrival(exec, now, vec![failed.into()]).finish_arrival())
}

/// Records that a child closed; and that it started, if nobody has said so yet.
///
/// # Errors
/// [`Rejection::WorkflowClosed`].
pub fn child_closed(
    exec: &Execution,
    closed: &ChildClosed,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let Some(child) = open_child(exec, closed.initiated_event_id)? else {
        return Ok(Decision::default());
    };
    let unknown = child.start.is_none();
    let start = unknown.then(|| started(child, closed.first_run_id));
    let kinds = start.into_iter().chain([close(child, closed)]).collect();
    Ok(Draft::of_arrival(exec, now, kinds).finish_arrival())
}

fn open_child(
    exec: &Execution,
    initiated_event_id: EventId,
) -> Result<Option<&ChildState>, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    Ok(exec
        .child(initiated_event_id)
        .filter(|child| !child.end_is_buffered))
}

fn started(child: &ChildState, run_id: RunId) -> EventKind {
    let attributes = child.attributes();
    ChildWorkflowExecutionStarted {
        namespace: attributes.namespace.clone(),
        initiated_event_id: child.initiated_event_id(),
        workflow_execution: WorkflowExecution {
            workflow_id: attributes.workflow_id.clone(),
            run_id,
        },
        workflow_type: attributes.workflow_type.clone(),
        header: attributes.header.clone(),
    }
    .into()
}

fn close(child: &ChildState, closed: &ChildClosed) -> EventKind {
    let namespace = child.attributes().namespace.clone();
    let initiated_event_id = closed.initiated_event_id;
    let started_event_id = child.started_event_id();
    let workflow_execution = closed.execution.clone();
    let workflow_type = closed.workflow_type.clone();
    match &closed.outcome {
        ChildOutcome::Completed(result) => ChildWorkflowExecutionCompleted {
            result: result.clone(),
            namespace,
            workflow_execution,
            workflow_type,
            initiated_event_id,
            started_event_id,
        }
        .into(),
        ChildOutcome::Failed(failure, retry_state) => ChildWorkflowExecutionFailed {
            failure: failure.clone(),
            namespace,
            workflow_execution,
            workflow_type,
            initiated_event_id,
            started_event_id,
            retry_state: *retry_state,
        }
        .into(),
        ChildOutcome::Canceled(details) => ChildWorkflowExecutionCanceled {
            details: details.clone(),
            namespace,
            workflow_execution,
            workflow_type,
            initiated_event_id,
            started_event_id,
        }
        .into(),
        ChildOutcome::TimedOut(retry_state) => ChildWorkflowExecutionTimedOut {
            namespace,
            workflow_execution,
            workflow_type,
            initiated_event_id,
            started_event_id,
            retry_state: *retry_state,
        }
        .into(),
        ChildOutcome::Terminated => ChildWorkflowExecutionTerminated {
            namespace,
            workflow_execution,
            workflow_type,
            initiated_event_id,
            started_event_id,
        }
        .into(),
    }
}
