//! What one workflow sends another, and what came back.

use history::{
    EventId, RunId,
    decide::{ChildClosed, Effect, RequestCancel, Signal, Terminate},
    event::{ExternalFailedCause, StartChildFailedCause},
};
use serde::{Deserialize, Serialize};

/// What is brought to a workflow that exists: by a client, or by another workflow, on whichever member that is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Delivery {
    Signal(Box<Signal>),
    RequestCancel(Box<RequestCancel>),
    Terminate(Box<Terminate>),
    /// A child tells its parent how it ended.
    ChildClosed(Box<ChildClosed>),
}

/// What a run hears of something that it had sent.
#[derive(Debug)]
pub(crate) struct DeliveryReport {
    /// Its event in the sender's history.
    pub(crate) initiated_event_id: EventId,
    /// When it was sent: [`RunKey::round`](super::RunKey::round).
    pub(crate) round: u64,
    pub(crate) outcome: DeliveryOutcome,
}

/// How a delivery ended.
#[derive(Debug)]
pub(crate) enum DeliveryOutcome {
    ChildStarted(RunId),
    ChildStartFailed(StartChildFailedCause),
    Signal(Result<(), ExternalFailedCause>),
    Cancel(Result<(), ExternalFailedCause>),
}

/// What a workflow sends to one that is not its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExternalKind {
    Signal,
    Cancel,
}

impl ExternalKind {
    /// Returns what the sender is told.
    pub(crate) fn outcome(self, result: Result<(), ExternalFailedCause>) -> DeliveryOutcome {
        match self {
            Self::Signal => DeliveryOutcome::Signal(result),
            Self::Cancel => DeliveryOutcome::Cancel(result),
        }
    }
}

/// Names what a closed run has still to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// What this event initiated, until its answer is heard.
    Initiated(EventId),
    /// The close policy, to the child that this event initiated.
    CloseChild(EventId),
    /// Its outcome, to its parent.
    NotifyParent,
}

impl Undelivered {
    /// Names an effect, if it is one that goes to others.
    pub(crate) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::StartChild {
                initiated_event_id, ..
            }
            | Effect::SignalExternal {
                initiated_event_id, ..
            }
            | Effect::CancelExternal {
                initiated_event_id, ..
            } => Some(Self::Initiated(*initiated_event_id)),
            Effect::CloseChild {
                initiated_event_id, ..
            } => Some(Self::CloseChild(*initiated_event_id)),
            Effect::NotifyParent { .. } => Some(Self::NotifyParent),
            Effect::DispatchWorkflowTask { .. }
            | Effect::DispatchActivityTask { .. }
            | Effect::CancelActivity { .. }
            | Effect::StartNewRun { .. } => None,
        }
    }
}
