//! What a workflow's parent is told of its close.

use serde::{Deserialize, Serialize};

use crate::{
    event::EventKind,
    failure::{Failure, RetryState},
    ids::{EventId, RunId, WorkflowExecution, WorkflowType},
    payload::Payloads,
};

/// A child closed for good: its last run did, and no new one follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildClosed {
    /// The `StartChildWorkflowExecutionInitiated` event in the parent's history.
    pub initiated_event_id: EventId,
    /// The child's last run.
    pub execution: WorkflowExecution,
    /// The first run of its chain: the one that the parent started.
    pub first_run_id: RunId,
    /// The code of that run.
    pub workflow_type: WorkflowType,
    /// How it closed.
    pub outcome: ChildOutcome,
}

/// How a child closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChildOutcome {
    /// It returned.
    Completed(Payloads),
    /// It failed.
    Failed(Failure, RetryState),
    /// It ended as canceled.
    Canceled(Payloads),
    /// Its time passed.
    TimedOut(RetryState),
    /// It was ended from outside.
    Terminated,
}

impl ChildOutcome {
    /// Returns what a run's last event means for its parent: nothing while another run follows.
    pub(crate) fn of(closed: &EventKind) -> Option<Self> {
        Some(match closed {
            EventKind::WorkflowExecutionCompleted(end) if end.new_execution_run_id.is_none() => {
                Self::Completed(end.result.clone())
            }
            EventKind::WorkflowExecutionFailed(end) if end.new_execution_run_id.is_none() => {
                Self::Failed(end.failure.clone(), end.retry_state)
            }
            EventKind::WorkflowExecutionTimedOut(end) if end.new_execution_run_id.is_none() => {
                Self::TimedOut(end.retry_state)
            }
            EventKind::WorkflowExecutionCanceled(end) => Self::Canceled(end.details.clone()),
            EventKind::WorkflowExecutionTerminated(_) => Self::Terminated,
            _ => return None,
        })
    }
}
