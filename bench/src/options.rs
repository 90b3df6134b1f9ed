//! What is measured, as the command line says.

use std::path::PathBuf;

/// What is measured, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// How often each measurement is repeated; the median by throughput is shown.
    #[arg(long, default_value_t = 3)]
    pub(crate) repeats: usize,
    /// How many clients the closed loop has, beside the one.
    #[arg(long, default_value_t = 128)]
    pub(crate) clients: usize,
    /// Where Postgres's binaries are; found as `coreason dev` finds them unless given.
    #[arg(long)]
    pub(crate) postgres: Option<PathBuf>,
    /// How many runs to hold open at the end; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) open: usize,
    /// Also the engines that `bench/peers/setup` has installed.
    #[arg(long)]
    pub(crate) peers: bool,
    /// Only rows whose name contains this; may be repeated.
    #[arg(long)]
    pub(crate) only: Vec<String>,
}
