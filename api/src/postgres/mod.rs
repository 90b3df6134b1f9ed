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
mod options;
#[cfg(any(test, feature = "packed-postgres"))]
mod packed;
mod postmaster;
mod process;
mod server;
mod settings;
mod stop;
#[cfg(test)]
mod tests;
mod version;

pub use data_dir::default_data_dir;
pub use error::Error;
pub use options::{Missing, Options};
pub use server::{Server, State};
pub use stop::{Stopped, stop};
