//! Events of Nexus operations: calls to services behind an endpoint, which may take as long as a workflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    event::is_default,
    failure::Failure,
    ids::{EventId, RequestId},
    payload::Payload,
    time::Millis,
};

/// Workflow code asked for an operation.
/// Temporal: event type 48.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationScheduled {
    /// The endpoint's name.
    pub endpoint: String,
    /// The service's name.
    pub service: String,
    /// The operation's name.
    pub operation: String,
    /// The argument.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Option<Payload>,
    /// The most time for it, retries included.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule_to_close_timeout: Millis,
    /// Headers of the call.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nexus_header: BTreeMap<String, String>,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// Names the call, so that its repetition has no second effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// The endpoint's id, which a renaming does not change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub endpoint_id: String,
    /// The most time until the handler starts it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule_to_start_timeout: Millis,
    /// The most time after the handler started it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_to_close_timeout: Millis,
}

/// The handler started the operation and will answer later.
/// Temporal: event type 49.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationStarted {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// The call that was answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// By which the handler knows the operation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub operation_token: String,
}

/// The operation returned.
/// Temporal: event type 50.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationCompleted {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// What it returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Option<Payload>,
    /// The call that was answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// The operation failed.
/// Temporal: event type 51.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationFailed {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// How.
    pub failure: Failure,
    /// The call that was answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// The operation ended as canceled.
/// Temporal: event type 52.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationCanceled {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// What it said of it.
    pub failure: Failure,
    /// The call that was answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// A timeout of the operation passed.
/// Temporal: event type 53.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationTimedOut {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which timeout.
    pub failure: Failure,
    /// The call that was answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// Workflow code asked for the operation's cancellation.
/// Temporal: event type 54.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationCancelRequested {
    /// Its `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
}

/// The handler took note of the cancellation.
/// Temporal: event type 56.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationCancelRequestCompleted {
    /// The `NexusOperationCancelRequested` event.
    pub requested_event_id: EventId,
    /// The completion whose command asked for it.
    pub workflow_task_completed_event_id: EventId,
    /// The operation's `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
}

/// The cancellation did not reach the handler.
/// Temporal: event type 57.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NexusOperationCancelRequestFailed {
    /// The `NexusOperationCancelRequested` event.
    pub requested_event_id: EventId,
    /// The completion whose command asked for it.
    pub workflow_task_completed_event_id: EventId,
    /// Why.
    pub failure: Failure,
    /// The operation's `NexusOperationScheduled` event.
    pub scheduled_event_id: EventId,
}
