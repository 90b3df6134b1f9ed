//! `coreason dev`: Postgres, the engine, REST and a worker in one process on loopback.

mod advertise;
mod announce;
mod database;
mod error;
mod serve;
mod shutdown;
mod work;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use engine::{Config, Engine, Role, limits::DRAIN};
use tokio::{net::TcpListener, select, time::timeout};
use worker::Worker;

use crate::{
    app::App,
    duration::{Human, Invalid},
    hosts::{Host, Hosts},
    limits::{LEASE_MIN, SHUTDOWN_DELAY_MAX, SHUTDOWN_MAX},
    peers::{Http, http},
    place::Place,
};

use database::Database;
pub(crate) use error::Error;
use serve::Server;
pub(crate) use shutdown::{ENDED, Shutdown};

const MEBIBYTE: usize = 1024 * 1024;

/// How long a hand-over may take before it is worth a line in the log.
const SAY_WAITING_AFTER: Duration = Duration::from_secs(2);

/// How to run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where to answer HTTP. Port 0 takes a free one.
    #[arg(long, env = "COREASON_LISTEN", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Where others reach this address, if it is not the same: the other processes on the database find it there.
    #[arg(long, env = "COREASON_ADVERTISE", value_name = "URL")]
    advertise: Option<String>,
    /// A name to which this server answers, beside `localhost`, this machine's and the one of --advertise; with a dot before it, all names
    /// below it. May be given several times.
    #[arg(
        long = "allowed-host",
        env = "COREASON_ALLOWED_HOSTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    allowed_hosts: Vec<Host>,
    #[command(flatten)]
    place: Place,
    /// The folder with the Postgres binaries to embed; one is looked for unless given.
    #[arg(long, value_name = "BIN_DIR")]
    postgres: Option<PathBuf>,
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
    lease: Option<Human>,
    /// How many MiB open runs may take in memory, such as 512, which it is unless given. Beyond it runs that only wait leave memory; what
    /// workflows and activities hold themselves does not count.
    #[arg(
        long,
        env = "COREASON_RUN_MEMORY_MIB",
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    run_memory_mib: Option<u32>,
    /// How long this process goes on as ever when it is asked to stop, while `/readyz` says 503: until whoever spreads requests has seen it.
    #[arg(
        long,
        env = "COREASON_SHUTDOWN_DELAY",
        value_name = "DURATION",
        default_value = "0",
        value_parser = shutdown_delay
    )]
    shutdown_delay: Human,
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

/// Runs until SIGTERM, SIGINT or SIGHUP; one that insists ends the process at once, and Postgres shuts down by itself.
pub(crate) async fn run(options: Options, workers: Vec<Worker>) -> Result<(), Error> {
    let _flush = crate::log::to_stderr().map_err(|source| Error::Io {
        doing: "write the log",
        source,
    })?;
    let shutdown = Shutdown::on_signals()?;
    let mut insisting = shutdown.clone();
    select! {
        done = Box::pin(serve(options, workers, shutdown)) => done,
        () = insisting.insisted() => Err(Error::Interrupted),
    }
}

/// Runs until it is asked to stop, and stops in order.
async fn serve(
    options: Options,
    workers: Vec<Worker>,
    mut shutdown: Shutdown,
) -> Result<(), Error> {
    let workers: Vec<Worker> = options
        .served(workers)
        .into_iter()
        .map(|worker| options.applied_to(worker))
        .collect();
    for worker in &workers {
        worker.check()?;
    }
    if !workers.is_empty() {
        // Its workers need it when the database is there.
        tokio::task::spawn_blocking(worker::own_build_id);
    }
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| Error::Listen {
            address: options.listen,
            source,
        })?;
    let address = listener.local_addr().map_err(|source| Error::Listen {
        address: options.listen,
        source,
    })?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "answers beyond this machine, and asks nobody who they are");
    }
    let hosts = Hosts::new(options.allowed_hosts.clone(), options.advertise.as_deref());
    let app = App::answering_to(hosts);
    let server = Server::start(listener, app.clone());
    let started = Box::pin(start(&options, address, &app, &workers, shutdown.clone())).await;
    let (database, engine) = match started {
        Ok(Some(started)) => started,
        Ok(None) => {
            server.stop().await;
            return Ok(());
        }
        Err(error) => {
            server.stop().await;
            return Err(error);
        }
    };
    shutdown.delays(options.shutdown_delay.0);
    let drain = work::drain(&workers);
    let working = work::start(&engine, workers, &shutdown);
    let announced = async {
        ready(&engine).await;
        announce::ready(address, &database).await;
    };
    select! {
        () = announced => {}
        () = shutdown.announced() => {}
    }
    shutdown.announced().await;
    // First of all, so that whoever spreads requests over the processes sends no more of them here.
    app.stopping();
    shutdown.asked().await;
    tracing::info!("stopping; another signal ends the process at once");
    let closing = async {
        work::drained(working, drain).await;
        engine.close().await;
        server.stop().await;
    };
    // The drain of a worker that takes longer than others comes on top.
    let most = SHUTDOWN_MAX.saturating_add(drain.saturating_sub(DRAIN));
    if timeout(most, closing).await.is_err() {
        tracing::warn!(
            "what was under way did not end in time; it is done again after the next start, or by the other processes"
        );
    }
    database.stop().await
}

/// Waits until this process serves shards, and says so when that takes long.
async fn ready(engine: &Engine) {
    if timeout(SAY_WAITING_AFTER, engine.owning()).await.is_ok() {
        return;
    }
    if let Role::Member { shards: 0, .. } = engine.role() {
        tracing::info!("other processes own all shards; waiting for some of them");
    }
    engine.owning().await;
}

impl Options {
    /// Returns the workers that are meant: the program's own, unless told otherwise.
    fn served(&self, own: Vec<Worker>) -> Vec<Worker> {
        if self.built_in {
            vec![worker::workflows::register(Worker::new("default"))]
        } else {
            own
        }
    }

    fn applied_to(&self, mut worker: Worker) -> Worker {
        if let Some(namespace) = &self.namespace {
            worker = worker.namespace(namespace.as_str());
        }
        if let Some(most) = self.activity_slots {
            worker = worker.activity_slots(most);
        }
        worker
    }
}

/// Opens the database and the engine on it. Nothing when it was asked to stop before that.
async fn start(
    options: &Options,
    address: SocketAddr,
    app: &App,
    workers: &[Worker],
    mut shutdown: Shutdown,
) -> Result<Option<(Database, Engine)>, Error> {
    let advertised = advertise::address(options, address, app).await?;
    app.advertised(advertised.clone());
    let Some(database) = Database::open(options, shutdown.clone().into_asked()).await? else {
        return Ok(None);
    };
    let mut config = Config::new(database.url(), advertised);
    config.peers = Arc::new(Http(http()));
    if let Some(Human(lease)) = options.lease {
        config.lease = lease;
    }
    if let Some(mebibytes) = options.run_memory_mib {
        let mebibytes = usize::try_from(mebibytes).unwrap_or(usize::MAX);
        config.memory_bytes = mebibytes.saturating_mul(MEBIBYTE);
    }
    let opened = select! {
        opened = Engine::open(config) => opened,
        () = shutdown.asked() => {
            database.stop().await?;
            return Ok(None);
        }
    };
    match opened {
        Ok(engine) => {
            if let Err(error) = work::served(&engine, workers) {
                engine.close().await;
                database.stop().await?;
                return Err(error);
            }
            app.opened(engine.clone());
            Ok(Some((database, engine)))
        }
        Err(error) => {
            database.stop().await?;
            Err(error.into())
        }
    }
}
