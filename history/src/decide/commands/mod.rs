//! Workflow code's commands become events, all of them or none.

mod activity;
mod carry_out;
mod child_workflow;
mod close;
mod external;
mod facts;
mod timer;
mod turn;

pub(super) use turn::{Refused, Turn};
