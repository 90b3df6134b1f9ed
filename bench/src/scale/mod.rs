//! What stays flat: the cost of a step while the open runs, the events of a run, what it waits for at once, the task queues,
//! the backlog, the sleepers, the timers of one second or what attempts do grow. `bench/README.md`, "Flat", has the last figures.

mod attempts;
mod backlog;
mod due;
mod events;
mod fanout;
mod lives;
mod queues;
mod runs;
pub(crate) mod sleepers;
mod step;
mod table;
mod workflows;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Open runs, all in memory.
    Runs,
    /// Events of one run.
    Events,
    /// Activities and children at once.
    Fanout,
    /// Task queues, a worker each.
    Queues,
    /// Tasks that wait on a queue without a worker.
    Backlog,
    /// Runs that sleep or wait for a signal, parked, and a restart.
    Sleepers,
    /// Parked runs whose timers are due within one second.
    Due,
    /// Runs that live for two minutes, so many begun a second, and what becomes of `open_run`.
    Lives,
    /// Attempts of activities that take their time, tell of themselves, or fail.
    Attempts,
}

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What grows.
    #[arg(long)]
    what: What,
    /// How far; a size that takes a minute or two unless told.
    #[arg(long)]
    size: Option<usize>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Where Postgres's binaries are.
    #[arg(long)]
    pub(crate) postgres: Option<PathBuf>,
}

/// Measures on an empty database and returns a table.
pub(crate) async fn measure(options: &Options, url: &str) -> Result<String> {
    let size = |usual: usize| options.size.unwrap_or(usual);
    match options.what {
        What::Runs => runs::measure(url, size(100_000), options.seconds).await,
        What::Events => events::measure(url, size(50_000)).await,
        What::Fanout => fanout::measure(url, size(1000)).await,
        What::Queues => queues::measure(url, size(200), options.seconds).await,
        What::Backlog => backlog::measure(url, size(100_000), options.seconds).await,
        What::Sleepers => sleepers::measure(url, size(100_000)).await,
        What::Due => due::measure(url, size(100_000)).await,
        What::Lives => lives::measure(url, size(1000)).await,
        What::Attempts => attempts::measure(url, size(1000)).await,
    }
}
