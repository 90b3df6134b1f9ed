//! The events of a history, with Temporal's names and attributes (`temporal.api.history.v1`).
//!
//! An attribute that is absent in Temporal is absent here; times and durations are
//! [`Timestamp`](crate::Timestamp) and [`Millis`](crate::Millis). `workflow_task_completed_event_id` is the completion whose
//! commands made the event.

mod absent;
mod activity;
mod child_workflow;
mod enums;
mod external;
mod facts;
mod kind;
mod marker;
mod nexus;
mod operations;
mod refers_to;
mod timer;
mod types;
mod update;
mod workflow;
mod workflow_task;

pub(crate) use absent::is_default;
pub use activity::*;
pub use child_workflow::*;
pub use enums::*;
pub use external::*;
pub use facts::{Header, Memo, SearchAttributes};
pub use kind::{Event, EventKind};
pub use marker::*;
pub use nexus::*;
pub use operations::*;
pub use refers_to::{RefersTo, Relation, Subject};
pub use timer::*;
pub use update::*;
pub use workflow::*;
pub use workflow_task::*;
