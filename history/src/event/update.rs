//! Events of updates: requests that workflow code accepts or rejects, and answers.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Callback, Header, is_default},
    failure::Failure,
    ids::{EventId, Identity, RequestId},
    payload::Payloads,
};

/// Names one update and who asked for it. Temporal: `temporal.api.update.v1.Meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMeta {
    /// Its id, unique inside the run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub update_id: String,
    /// Who asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
}

/// What the handler of an update is called with. Temporal: `temporal.api.update.v1.Input`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateInput {
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// The handler's name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,
    /// The arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub args: Payloads,
}

/// Asks a workflow for an update. Temporal: `temporal.api.update.v1.Request`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// Which update.
    #[serde(default, skip_serializing_if = "is_default")]
    pub meta: UpdateMeta,
    /// What it asks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: UpdateInput,
    /// The request: its repetition has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// Who is called when the update completes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub completion_callbacks: Vec<Callback>,
}

/// How an update ended. Temporal: `temporal.api.update.v1.Outcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum UpdateOutcome {
    /// Its handler returned.
    Success(Payloads),
    /// Its handler failed.
    Failure(Box<Failure>),
}

/// Where an admitted update comes from. Temporal: `UpdateAdmittedEventOrigin`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpdateAdmittedEventOrigin {
    /// Not said.
    #[default]
    Unspecified,
    /// From the run that a reset took the place of.
    Reapply,
}

/// Workflow code let an update in.
/// Temporal: event type 41.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionUpdateAccepted {
    /// The update's id in the protocol.
    pub protocol_instance_id: String,
    /// The message that asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accepted_request_message_id: String,
    /// The event after which the request is to be handled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accepted_request_sequencing_event_id: EventId,
    /// The request; absent if an `WorkflowExecutionUpdateAdmitted` event has it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accepted_request: Option<UpdateRequest>,
}

/// Workflow code refused an update. Temporal defines it and never writes it.
/// Temporal: event type 42.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionUpdateRejected {
    /// The update's id in the protocol.
    pub protocol_instance_id: String,
    /// The message that asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rejected_request_message_id: String,
    /// The event after which the request was to be handled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rejected_request_sequencing_event_id: EventId,
    /// The request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rejected_request: Option<UpdateRequest>,
    /// Why.
    pub failure: Failure,
}

/// The handler of an update ended.
/// Temporal: event type 43.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionUpdateCompleted {
    /// Which update.
    pub meta: UpdateMeta,
    /// Its `WorkflowExecutionUpdateAccepted` event.
    pub accepted_event_id: EventId,
    /// How it ended.
    pub outcome: UpdateOutcome,
}

/// An update waits for workflow code to accept or reject it; written only where a reset carries one over.
/// Temporal: event type 47.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowExecutionUpdateAdmitted {
    /// The request.
    pub request: UpdateRequest,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: UpdateAdmittedEventOrigin,
}
