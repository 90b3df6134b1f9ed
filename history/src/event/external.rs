//! Events of signals and cancellations that a workflow sends to others.

use serde::{Deserialize, Serialize};

use crate::{
    event::{ExternalFailedCause, Header, is_default},
    ids::{EventId, Namespace, RunId, SignalName, WorkflowId},
    payload::Payloads,
};

/// Workflow code asked another workflow to cancel.
/// Temporal: event type 22.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCancelExternalWorkflowExecutionInitiated {
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run; its current one if none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
    /// Only if the target is a child of this run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub child_workflow_only: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: String,
}

/// The cancellation did not reach its target.
/// Temporal: event type 23.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCancelExternalWorkflowExecutionFailed {
    /// Why.
    pub cause: ExternalFailedCause,
    /// The completion whose command asked for it.
    pub workflow_task_completed_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
    /// Its initiated event.
    pub initiated_event_id: EventId,
}

/// The cancellation reached its target.
/// Temporal: event type 24.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalWorkflowExecutionCancelRequested {
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
}

/// Workflow code sent a signal to another workflow.
/// Temporal: event type 37.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalExternalWorkflowExecutionInitiated {
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run; its current one if none is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
    /// The channel.
    pub signal_name: SignalName,
    /// The message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// Only if the target is a child of this run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub child_workflow_only: bool,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
}

/// The signal did not reach its target.
/// Temporal: event type 38.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalExternalWorkflowExecutionFailed {
    /// Why.
    pub cause: ExternalFailedCause,
    /// The completion whose command asked for it.
    pub workflow_task_completed_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
    /// Its initiated event.
    pub initiated_event_id: EventId,
}

/// The signal reached its target.
/// Temporal: event type 39.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalWorkflowExecutionSignaled {
    /// Its initiated event.
    pub initiated_event_id: EventId,
    /// The target's namespace.
    pub namespace: Namespace,
    /// The target's id.
    pub workflow_id: WorkflowId,
    /// The target's run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_id: Option<RunId>,
}
