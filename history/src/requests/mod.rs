//! What clients and workflows ask of a workflow, and how it knows a request again.

mod child_closed;
mod heard;
mod message;
mod start;

pub use child_closed::{ChildClosed, ChildOutcome};
pub(crate) use heard::Asks;
pub use heard::{RequestDigest, RequestsHeard, StartHeard};
pub use message::{RequestCancel, Signal, Terminate};
pub use start::{Continued, Parent, StartWorkflow};
