//! Events of a workflow as a whole: its start, its close, what reaches it from outside.

use serde::{Deserialize, Serialize};

use crate::{
    event::{ContinueAsNewInitiator, Header, Memo, SearchAttributes, is_default},
    failure::{Failure, RetryState},
    ids::{
        EventId, Identity, Namespace, RequestId, RunId, SignalName, TaskQueue, WorkflowExecution,
        WorkflowId, WorkflowType,
    },
    payload::Payloads,
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// A run started; the first event of every history.
/// Temporal: event type 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionStarted {
    /// The code it runs.
    pub workflow_type: WorkflowType,
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// Where its workflow tasks go.
    pub task_queue: TaskQueue,
    /// The arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// The most time for the whole chain of runs; zero means no end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_execution_timeout: Millis,
    /// The most time for this run; zero means no end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_run_timeout: Millis,
    /// The most time for a workflow task, from its start to its completion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_task_timeout: Millis,
    /// When the execution timeout passes; carried along the chain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_execution_expiration_time: Option<Timestamp>,
    /// The parent's namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_workflow_namespace: Option<Namespace>,
    /// The parent, if it is a child.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_workflow_execution: Option<WorkflowExecution>,
    /// The parent's `StartChildWorkflowExecutionInitiated` event.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_initiated_event_id: EventId,
    /// The first ancestor, if it is a child.
    #[serde(default, skip_serializing_if = "is_default")]
    pub root_workflow_execution: Option<WorkflowExecution>,
    /// The run before it in the chain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub continued_execution_run_id: Option<RunId>,
    /// Who asked for this run, if another ran before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initiator: ContinueAsNewInitiator,
    /// How the run before it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub continued_failure: Option<Failure>,
    /// What the last completed run of the chain returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_completion_result: Payloads,
    /// The run id that seeds random numbers.
    pub original_execution_run_id: RunId,
    /// The first run of the chain.
    pub first_execution_run_id: RunId,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// When a failed run is repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_policy: Option<RetryPolicy>,
    /// Which attempt of the retry policy this run is, from 1.
    pub attempt: u32,
    /// When the next run follows; empty means never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cron_schedule: String,
    /// How long the first workflow task waits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_workflow_task_backoff: Millis,
    /// Unindexed facts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memo: Memo,
    /// Indexed facts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub search_attributes: SearchAttributes,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// The request that started it: its repetition finds this run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// Workflow code returned.
/// Temporal: event type 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionCompleted {
    /// What it returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Payloads,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// The run that follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_execution_run_id: Option<RunId>,
}

/// Workflow code failed.
/// Temporal: event type 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionFailed {
    /// How.
    pub failure: Failure,
    /// Whether and why it is not repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// The run that follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_execution_run_id: Option<RunId>,
}

/// The run or the execution timeout passed.
/// Temporal: event type 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionTimedOut {
    /// Whether and why it is not repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
    /// The run that follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_execution_run_id: Option<RunId>,
}

/// Somebody asked the workflow to cancel; its code decides.
/// Temporal: event type 20.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionCancelRequested {
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cause: String,
    /// The asking workflow's initiated event.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external_initiated_event_id: EventId,
    /// The asking workflow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external_workflow_execution: Option<WorkflowExecution>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// The request: its repetition has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// Workflow code ended as canceled.
/// Temporal: event type 21.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionCanceled {
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// What it said of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: Payloads,
}

/// A signal arrived.
/// Temporal: event type 26.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionSignaled {
    /// The channel.
    pub signal_name: SignalName,
    /// The message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// The sending workflow, if it is one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external_workflow_execution: Option<WorkflowExecution>,
    /// The request: its repetition has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// Somebody ended the workflow without asking it.
/// Temporal: event type 27.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionTerminated {
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: String,
    /// More of why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: Payloads,
    /// Who.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
}

/// Workflow code ended this run and went on in a new one.
/// Temporal: event type 28.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionContinuedAsNew {
    /// The run that follows.
    pub new_execution_run_id: RunId,
    /// The code of the new run.
    pub workflow_type: WorkflowType,
    /// Where its workflow tasks go.
    pub task_queue: TaskQueue,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// Its run timeout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_run_timeout: Millis,
    /// Its workflow task timeout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_task_timeout: Millis,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// How long its first workflow task waits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff_start_interval: Millis,
    /// Who asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initiator: ContinueAsNewInitiator,
    /// How this run failed, if it did.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
    /// What the last completed run returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_completion_result: Payloads,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// Unindexed facts of the new run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memo: Memo,
    /// Indexed facts of the new run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub search_attributes: SearchAttributes,
}
