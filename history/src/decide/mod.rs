//! What a request leads to: `decide::<verb>(&execution, request, now) -> Result<Decision, Rejection>`.
//!
//! Nothing is changed here. The caller applies the records ([`crate::Execution::apply`]), commits them, and
//! carries out the effects: a workflow task may be handed out before the commit, all else only after.

mod decision;
mod rejection;

mod existing;
mod start;

mod commands;
mod workflow_task;

mod activity;
mod child_workflow;
mod external;

mod close;
mod deadline;
mod signal;

mod attempt;
mod closing;
mod draft;
mod finish;
mod next_run;
mod size;
mod wiring;

pub use crate::{
    effect::{Effect, Target},
    event::Sticky,
    requests::{
        ChildClosed, ChildOutcome, Continued, Parent, RequestCancel, Signal, StartWorkflow,
        Terminate,
    },
};

pub use decision::Decision;
pub use rejection::Rejection;

pub use activity::*;
pub use child_workflow::*;
pub use close::*;
pub use deadline::*;
pub use existing::*;
pub use external::*;
pub use signal::*;
pub use start::*;
pub use workflow_task::*;
