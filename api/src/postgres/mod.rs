//! The embedded Postgres: found on the machine, initialised under a data directory, kept running, adopted after a crash.
//!
//! The data directory holds `pgdata` (the cluster), `password` (0600), `postgres.log` and `postgres.lock`. Processes that
//! share one data directory share its Postgres: the second adopts the first one's, and the last to stop shuts it down.

mod account;
#[cfg(test)]
mod archive;
mod binaries;
mod cluster;
mod error;
mod log;
#[cfg(any(test, feature = "packed-postgres"))]
mod packed;
mod postmaster;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use cluster::default_data_dir;
pub use error::Error;
pub use server::{Options, Server, State};
