//! The pure core: what happened in a workflow, and what may happen next.
//!
//! Nothing here does I/O, reads a clock, draws a random number or awaits. State is the fold of
//! records ([`Execution::apply`]); a request becomes records through one function of [`decide`].
//!
//! Each of these uses those before it: values ([`ids`], [`time`], [`payload`], [`failure`], [`retry`]); what is recorded, asked for and
//! to be done ([`event`], [`command`], [`requests`], [`record`], [`effect`]); the fold ([`execution`]); what follows a request
//! ([`decide`]). [`replay`], [`export`] and [`task`] need only the first two. No two files need each other.

#![warn(missing_docs)]

pub mod ids;
pub mod rfc3339;
pub mod time;

mod hex;

pub mod failure;
pub mod payload;
pub mod retry;

pub mod command;
pub mod effect;
pub mod event;
pub mod record;
pub mod requests;
pub mod task;

pub mod chain;
pub mod export;
pub mod limits;
pub mod patch;
pub mod replay;
pub mod search_attribute;

pub mod decide;
pub mod execution;

#[cfg(test)]
mod tests;

pub use command::Command;
pub use event::{Event, EventKind};
pub use execution::{Execution, Status};
pub use failure::{Failure, FailureInfo};
pub use ids::*;
pub use payload::{Payload, Payloads};
pub use record::{Note, Record};
pub use retry::RetryPolicy;
pub use search_attribute::SearchAttributeType;
pub use time::{Millis, Timestamp};
