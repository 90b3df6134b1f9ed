//! How to run, as the command line says.

use std::{net::SocketAddr, path::PathBuf};

use worker::Worker;

use crate::{
    duration::{Human, Invalid},
    hosts::Host,
    limits::{LEASE_MIN, SHUTDOWN_DELAY_MAX},
    place::Place,
};

/// How to run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where to answer HTTP. Port 0 takes a free one.
    #[arg(long, env = "COREASON_LISTEN", default_value = "127.0.0.1:8000")]
    pub(super) listen: SocketAddr,
    /// Where others reach this address, if it is not the same: the other processes on the database find it there.
    #[arg(long, env = "COREASON_ADVERTISE", value_name = "URL")]
    pub(super) advertise: Option<String>,
    /// A name to which this server answers, beside `localhost`, this machine's and the one of --advertise; with a dot before it, all names
    /// below it. May be given several times.
    #[arg(
        long = "allowed-host",
        env = "COREASON_ALLOWED_HOSTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(super) allowed_hosts: Vec<Host>,
    #[command(flatten)]
    pub(super) place: Place,
    /// The folder with the Postgres binaries to embed; one is looked for unless given.
    #[arg(long, value_name = "BIN_DIR")]
    pub(super) postgres: Option<PathBuf>,
    /// The namespace that the worker serves; the one its program names unless given.
    #[arg(long, env = "COREASON_NAMESPACE")]
    namespace: Option<history::Namespace>,
    /// How many activities the worker runs at once; as many as its program says unless given.
    #[arg(long, value_name = "N")]
    activity_slots: Option<u32>,
    /// Serve the built-in workflows, not those of the program: what `demo` runs on.
    #[arg(long, hide = true)]
    built_in: bool,
    /// How long this process may be silent before another one on the same database takes over; 10s unless given.
    #[arg(
        long,
        env = "COREASON_LEASE",
        value_name = "DURATION",
        value_parser = lease
    )]
    pub(super) lease: Option<Human>,
    /// How many MiB open runs may take in memory, such as 512, which it is unless given. Beyond it runs that only wait leave memory; what
    /// workflows and activities hold themselves does not count.
    #[arg(
        long,
        env = "COREASON_RUN_MEMORY_MIB",
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(super) run_memory_mib: Option<u32>,
    /// The file with the key that seals histories, which is made if it is not there; `seal.key` in the data directory unless given. A Postgres that
    /// is not embedded has none, and its histories are not sealed, unless this names one.
    #[arg(long, env = "COREASON_SEAL_KEY", value_name = "FILE")]
    pub(super) seal_key: Option<PathBuf>,
    /// Where the histories of runs go before they are deleted, because their namespace keeps them no longer, once they are sealed: a folder of this
    /// machine, as `file:///var/archive`, or a bucket of S3, as `s3://bucket/prefix`.
    #[arg(long, env = "COREASON_ARCHIVE", value_name = "URL")]
    pub(super) archive: Option<String>,
    /// How long this process goes on as ever when it is asked to stop, while `/readyz` says 503: until whoever spreads requests has seen it.
    #[arg(
        long,
        env = "COREASON_SHUTDOWN_DELAY",
        value_name = "DURATION",
        default_value = "0",
        value_parser = shutdown_delay
    )]
    pub(super) shutdown_delay: Human,
}

impl Options {
    /// Returns the workers that are meant: the program's own, unless told otherwise.
    pub(super) fn served(&self, own: Vec<Worker>) -> Vec<Worker> {
        if self.built_in {
            vec![worker::workflows::register(Worker::new("default"))]
        } else {
            own
        }
    }

    pub(super) fn applied_to(&self, mut worker: Worker) -> Worker {
        if let Some(namespace) = &self.namespace {
            worker = worker.namespace(namespace.as_str());
        }
        if let Some(most) = self.activity_slots {
            worker = worker.activity_slots(most);
        }
        worker
    }
}

/// Reads a lease that can be kept.
fn lease(text: &str) -> Result<Human, String> {
    let lease: Human = text.parse().map_err(|error: Invalid| error.to_string())?;
    if lease.0 < LEASE_MIN {
        let shortest = LEASE_MIN.as_millis();
        return Err(format!(
            "nobody could renew it in time; the shortest is {shortest}ms"
        ));
    }
    Ok(lease)
}

/// Reads a delay that those who stop a process wait for.
fn shutdown_delay(text: &str) -> Result<Human, String> {
    let delay: Human = text.parse().map_err(|error: Invalid| error.to_string())?;
    if delay.0 > SHUTDOWN_DELAY_MAX {
        let longest = SHUTDOWN_DELAY_MAX.as_secs();
        return Err(format!(
            "whoever stops the process would not wait for so long; the longest is {longest}s"
        ));
    }
    Ok(delay)
}
