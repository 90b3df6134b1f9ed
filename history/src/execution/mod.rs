//! A run as the fold of its records: the states of what is pending, [`Execution`] that holds them, [`Execution::apply`] that
//! changes them, and what can be read from them.

mod activity;
mod child_workflow;
mod external;
mod status;
mod timer;
mod workflow_task;

mod heard;
mod memory;
mod upserted;

mod run;

mod attempts;
mod deadline;
mod effect;
mod facts;
mod next_task;
mod outstanding;
mod requests;
mod transient;
mod undelivered;

mod apply;
mod corrupt;

pub use activity::{ActivityState, AttemptState};
pub use child_workflow::{ChildStart, ChildState};
pub use corrupt::Corrupt;
pub use external::ExternalState;
pub use run::Execution;
pub use status::Status;
pub use timer::TimerState;
pub use workflow_task::{TaskFailing, WorkflowTaskStage, WorkflowTaskStart, WorkflowTaskState};

pub(crate) use deadline::{ActivityDeadline, Deadline};
pub(crate) use effect::child_start;
pub(crate) use memory::event_bytes;
pub(crate) use next_task::NextTask;
pub(crate) use upserted::merge;
