//! Events of child workflows, in the parent's history.

use serde::{Deserialize, Serialize};

use crate::{
    event::{
        Header, Memo, SearchAttributes,
        enums::{ParentClosePolicy, StartChildFailedCause, WorkflowIdReusePolicy},
        is_default,
    },
    failure::{Failure, RetryState},
    ids::{EventId, Namespace, TaskQueue, WorkflowExecution, WorkflowId, WorkflowType},
    payload::Payloads,
    retry::RetryPolicy,
    time::Millis,
};

/// Workflow code asked for a child.
/// Temporal: event type 29.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartChildWorkflowExecutionInitiated {
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's id.
    pub workflow_id: WorkflowId,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Where the child's workflow tasks go.
    pub task_queue: TaskQueue,
    /// The arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// The child's execution timeout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_execution_timeout: Millis,
    /// The child's run timeout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_run_timeout: Millis,
    /// The child's workflow task timeout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_task_timeout: Millis,
    /// What happens to the child when this run closes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_close_policy: ParentClosePolicy,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// Whether the id may have been used before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_id_reuse_policy: WorkflowIdReusePolicy,
    /// When a failed child is repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_policy: Option<RetryPolicy>,
    /// When the child's next run follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cron_schedule: String,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// Unindexed facts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memo: Memo,
    /// Indexed facts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub search_attributes: SearchAttributes,
}

/// The child could not be started.
/// Temporal: event type 30.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartChildWorkflowExecutionFailed {
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's id.
    pub workflow_id: WorkflowId,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Why.
    pub cause: StartChildFailedCause,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// The completion whose command asked for it.
    pub workflow_task_completed_event_id: EventId,
}

/// The child's first run started.
/// Temporal: event type 31.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionStarted {
    /// The child's namespace.
    pub namespace: Namespace,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// The child.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
}

/// The child returned.
/// Temporal: event type 32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionCompleted {
    /// What it returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Payloads,
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's last run.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// Its started event.
    pub started_event_id: EventId,
}

/// The child failed.
/// Temporal: event type 33.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionFailed {
    /// How.
    pub failure: Failure,
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's last run.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// Its started event.
    pub started_event_id: EventId,
    /// Why it is not repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
}

/// The child ended as canceled.
/// Temporal: event type 34.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionCanceled {
    /// What it said of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: Payloads,
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's last run.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// Its started event.
    pub started_event_id: EventId,
}

/// The child's time passed.
/// Temporal: event type 35.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionTimedOut {
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's last run.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// Its started event.
    pub started_event_id: EventId,
    /// Why it is not repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
}

/// The child was ended from outside.
/// Temporal: event type 36.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildWorkflowExecutionTerminated {
    /// The child's namespace.
    pub namespace: Namespace,
    /// The child's last run.
    pub workflow_execution: WorkflowExecution,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// Its started event.
    pub started_event_id: EventId,
}
