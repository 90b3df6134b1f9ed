//! The Rust SDK: workflows, activities, and the worker that runs them.
//!
//! A workflow is an async function over [`context::Workflow`]; its code runs again and again over its own history, so
//! all that it reads from outside comes through that context. An activity is a function that does the work: async or
//! blocking, with dependencies by reference. [`Worker`] runs both for an engine in this process.
//!
//! The worker holds no truth: what it knows of a run it can build again from the run's history.

// The attributes name this crate `::coreason`, as users do.
extern crate self as coreason;

pub mod prelude;

pub mod activity;
pub mod code;
pub mod context;
pub mod definition;
pub mod error;
pub mod options;

pub mod activities;
pub mod workflows;

mod build_id;
mod desk;
mod driver;
mod panics;
mod worker;

#[doc(hidden)]
pub mod __private;

pub use build_id::own as own_build_id;
pub use driver::{KEPT_THREADS_MAX, POLL_MAX};
pub use worker::{ACTIVITY_SLOTS, BuildError, CACHED_RUNS, DRAIN_TIMEOUT, WORKFLOW_SLOTS, Worker};
