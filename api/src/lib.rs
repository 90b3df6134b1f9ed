//! The `coreason` process: REST, the command line, the development server, and the embedded Postgres.
//!
//! Ten lines and `cargo run` are a whole system:
//!
//! ```no_run
//! use coreason::prelude::*;
//!
//! #[workflow]
//! async fn hello(_: Workflow, name: String) -> Result<String> {
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! fn main() -> ExitCode {
//!     coreason::run(Worker::new("default").workflow(hello))
//! }
//! ```

pub mod limits;
pub mod postgres;

pub mod client;

mod app;
mod error;
mod router;

mod forward;
mod hosts;
mod patience;
mod peers;

mod extract;
mod reply;
mod wait;

mod health;
mod search_attributes;
mod visibility;
mod workflows;

mod duration;

mod archive;
mod audit;
mod cli;
mod demo;
mod dev;
mod log;
mod place;
mod rest_client;
mod retention;
mod shutdown;
mod terminal;

#[cfg(test)]
mod tests;

pub use app::App;
pub use client::Client;
pub use router::router;

/// Tasks and payloads are made on one thread and dropped on another, which the usual allocator is slow at.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The engine, for programs that open it themselves.
pub use engine;
/// The Rust SDK; [`prelude`] has what most programs need of it.
pub use worker;

/// What a program with workflows and activities needs.
pub mod prelude {
    pub use worker::prelude::*;
}

/// What the macros' output names.
#[doc(hidden)]
pub use worker::__private;

/// Runs a program that has this worker, or these: the development server without arguments or with `dev`, else what the
/// command line says. A program that serves several task queues has a worker for each.
///
/// ```no_run
/// use coreason::prelude::*;
///
/// #[activity]
/// async fn embed(text: String) -> Result<usize> {
///     Ok(text.len())
/// }
///
/// #[workflow]
/// async fn index(wf: Workflow, text: String) -> Result<usize> {
///     wf.call(embed, text).task_queue("gpu").await
/// }
///
/// fn main() -> ExitCode {
///     let gpu = Worker::new("gpu").activity(embed).activity_slots(1);
///     coreason::run([Worker::new("default").workflow(index), gpu])
/// }
/// ```
pub fn run(workers: impl Into<Vec<worker::Worker>>) -> std::process::ExitCode {
    cli::run(workers.into())
}

/// The examples of the SDK's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../worker/README.md")]
struct Readme;
