//! How a child ended, as its parent's code gets it.

use history::{
    EventId, EventKind, Failure, FailureInfo, Payloads,
    failure::{RetryState, TimeoutType},
};

use crate::{
    context::{
        names,
        operation::{Done, OpId},
        state::{Halt, RunState},
    },
    definition::{self, WorkflowDefinition},
    error::{Fails, SOURCE, canceled_failure},
};

/// What awaiting a child returns.
pub(super) type ChildOutcome<W> =
    Result<<W as WorkflowDefinition>::Output, <<W as WorkflowDefinition>::Error as Fails>::AtChild>;

/// Reads the end of a child; nothing when the result is not what the code expects, which fails the task.
pub(super) fn end<W: WorkflowDefinition>(
    state: &RunState,
    op: OpId,
    done: &Done,
) -> Option<ChildOutcome<W>> {
    let mut retry_state = RetryState::Unspecified;
    let cause = match done {
        Done::Canceled => canceled_failure(Payloads::default()),
        Done::Event(event) => match &event.kind {
            EventKind::ChildWorkflowExecutionCompleted(completed) => {
                return match definition::result(&completed.result) {
                    Ok(output) => Some(Ok(output)),
                    Err(error) => {
                        state.halt(Halt::Fail(names::misfit(&error, W::NAME)));
                        None
                    }
                };
            }
            EventKind::ChildWorkflowExecutionFailed(failed) => {
                retry_state = failed.retry_state;
                failed.failure.clone()
            }
            EventKind::ChildWorkflowExecutionCanceled(canceled) => {
                canceled_failure(canceled.details.clone())
            }
            EventKind::ChildWorkflowExecutionTimedOut(timed_out) => {
                retry_state = timed_out.retry_state;
                Failure::timed_out(TimeoutType::StartToClose, Payloads::default())
            }
            EventKind::ChildWorkflowExecutionTerminated(_) => {
                Failure::new("terminated", FailureInfo::Terminated)
            }
            EventKind::StartChildWorkflowExecutionFailed(failed) => Failure::application(
                format!("workflow id {} is in use", failed.workflow_id),
                format!("{:?}", failed.cause),
                true,
            ),
            other => Failure::application(other.name(), "UnexpectedEvent", true),
        },
    };
    Some(Err(W::Error::at_child(around::<W>(
        state,
        cause,
        done,
        op,
        retry_state,
    ))))
}

/// Returns the failure of the call around that of the child, as Temporal's SDKs do.
fn around<W: WorkflowDefinition>(
    state: &RunState,
    cause: Failure,
    done: &Done,
    op: OpId,
    retry_state: RetryState,
) -> Failure {
    let initiated = state.recorded(op);
    let Some((initiated_event_id, EventKind::StartChildWorkflowExecutionInitiated(child))) =
        initiated.as_deref().map(|event| (event.id, &event.kind))
    else {
        // It was canceled before it was asked for.
        return cause;
    };
    let (run, started_event_id) = match done {
        Done::Event(event) => match &event.kind {
            EventKind::ChildWorkflowExecutionFailed(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionCanceled(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionTimedOut(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionTerminated(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            _ => (None, EventId::NONE),
        },
        Done::Canceled => (None, EventId::NONE),
    };
    let Some(workflow_execution) = run.cloned().or_else(|| state.child_execution(op)) else {
        return cause;
    };
    let mut failure = Failure::new(
        format!("child workflow `{}` failed", W::NAME),
        FailureInfo::ChildWorkflowExecution {
            namespace: child.namespace.clone(),
            workflow_execution,
            workflow_type: W::workflow_type(),
            initiated_event_id,
            started_event_id,
            retry_state,
        },
    );
    SOURCE.clone_into(&mut failure.source);
    failure.because(cause)
}
