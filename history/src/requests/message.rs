//! What is sent to a running workflow.

use serde::{Deserialize, Serialize};

use crate::{
    event::Header,
    ids::{EventId, Identity, RequestId, SignalName, WorkflowExecution},
    payload::Payloads,
};

/// A message to a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The channel.
    pub signal_name: SignalName,
    /// The message.
    pub input: Payloads,
    /// Context that travels along.
    pub header: Header,
    /// Who sends it.
    pub identity: Option<Identity>,
    /// Names this request: its repetition has no effect.
    pub request_id: Option<RequestId>,
    /// The sending workflow and its initiated event, if it is one.
    pub external: Option<(WorkflowExecution, EventId)>,
}

/// Asks a workflow to cancel; its code decides what that means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCancel {
    /// Why.
    pub cause: String,
    /// Who asks.
    pub identity: Option<Identity>,
    /// Names this request: its repetition has no effect.
    pub request_id: Option<RequestId>,
    /// The asking workflow and its initiated event, if it is one.
    pub external: Option<(WorkflowExecution, EventId)>,
}

/// Ends a workflow without asking it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terminate {
    /// Why.
    pub reason: String,
    /// More of why.
    pub details: Payloads,
    /// Who.
    pub identity: Option<Identity>,
}
