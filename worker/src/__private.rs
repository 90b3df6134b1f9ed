//! What the attributes' code names. Not for people; it may change at any time.

pub use history::{ActivityType, Payloads, WorkflowType};
pub use serde;

pub use crate::{
    activity::Attempt,
    code::{ActivityCode, WorkflowCode},
    context::Workflow,
    definition::{
        ActivityDefaults, ActivityDefinition, Coroutine, DecodeError, EncodeError, Need, Outcome,
        RetryDefaults, SignalDefinition, WorkflowDefaults, WorkflowDefinition, argument, encode,
        ended,
    },
};
