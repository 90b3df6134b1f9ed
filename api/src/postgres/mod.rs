//! The embedded Postgres: found on the machine, initialised under a data directory, kept running, adopted after a crash.
//!
//! The data directory holds `pgdata` (the cluster), `password` and `pgpass` (0600), `postgres.log`, and two locks:
//! `postgres.lock`, which its users share, and `start.lock`, for the time in which one of them starts it. Processes that
//! share one data directory share its Postgres: the second adopts the first one's, and the last to stop shuts it down.

mod account;
#[cfg(test)]
mod archive;
mod binaries;
mod cluster;
mod complaint;
mod data_dir;
mod error;
mod lock;
mod log;
#[cfg(any(test, feature = "packed-postgres"))]
mod packed;
mod postmaster;
mod process;
mod server;
mod settings;
mod stop;
#[cfg(test)]
mod tests;

pub use data_dir::default_data_dir;
pub use error::Error;
pub use server::{Missing, Options, Server, State};
pub use stop::{Stopped, stop};

/// The superuser of the cluster, and the name of the engine's database.
const NAME: &str = "coreason";
