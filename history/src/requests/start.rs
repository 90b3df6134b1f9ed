//! The request for a workflow.

use serde::{Deserialize, Serialize};

use crate::{
    event::{
        ContinueAsNewInitiator, Header, Memo, SearchAttributes, WorkflowExecutionSignaled,
        WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    },
    failure::Failure,
    ids::{
        EventId, Identity, Namespace, RequestId, RunId, TaskQueue, WorkflowExecution, WorkflowId,
        WorkflowType,
    },
    payload::Payloads,
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Asks for a workflow. Zero durations mean "not given".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartWorkflow {
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The code to run.
    pub workflow_type: WorkflowType,
    /// Where its workflow tasks go.
    pub task_queue: TaskQueue,
    /// The arguments.
    pub input: Payloads,
    /// The most time for the whole chain of runs.
    pub workflow_execution_timeout: Millis,
    /// The most time for one run.
    pub workflow_run_timeout: Millis,
    /// The most time for a workflow task; 10 s if zero, at most 120 s.
    pub workflow_task_timeout: Millis,
    /// Names this request.
    pub request_id: RequestId,
    /// Who asks.
    pub identity: Option<Identity>,
    /// Whether the id may have been used before.
    pub reuse_policy: WorkflowIdReusePolicy,
    /// What happens if the id is in use.
    pub conflict_policy: WorkflowIdConflictPolicy,
    /// When a failed run is repeated.
    pub retry_policy: Option<RetryPolicy>,
    /// When the next run follows; empty means never. Only carried along here.
    pub cron_schedule: String,
    /// How long the first workflow task waits.
    pub start_delay: Millis,
    /// Unindexed facts.
    pub memo: Memo,
    /// Indexed facts.
    pub search_attributes: SearchAttributes,
    /// Context that travels along.
    pub header: Header,
    /// The parent, if it is a child.
    pub parent: Option<Parent>,
    /// The run before it, if it follows one.
    pub continued: Option<Continued>,
}

/// The parent of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Its namespace.
    pub namespace: Namespace,
    /// Which run.
    pub execution: WorkflowExecution,
    /// The `StartChildWorkflowExecutionInitiated` event in its history.
    pub initiated_event_id: EventId,
    /// The first ancestor.
    pub root: WorkflowExecution,
}

/// The run that a new run follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continued {
    /// The run before.
    pub run_id: RunId,
    /// The first run of the chain.
    pub first_execution_run_id: RunId,
    /// Who asked for the new run.
    pub initiator: ContinueAsNewInitiator,
    /// How the run before failed, if it did.
    pub failure: Option<Failure>,
    /// What the last completed run returned.
    pub last_completion_result: Payloads,
    /// Which attempt of the retry policy the new run is, from 1.
    pub attempt: u32,
    /// When the execution timeout passes.
    pub expiration_time: Option<Timestamp>,
    /// Signals that the run before was sent and its code has not read, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_signals: Vec<WorkflowExecutionSignaled>,
}
