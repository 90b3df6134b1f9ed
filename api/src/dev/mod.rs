//! `coreason dev`: Postgres, the engine, REST and a worker in one process on loopback.

mod advertise;
mod announce;
mod database;
mod error;
mod options;
mod serve;
mod work;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use engine::{Config, Engine, Role, limits::DRAIN, seal::Signer};
use tokio::{net::TcpListener, select, time::timeout};
use worker::Worker;

use crate::{
    app::App,
    archive,
    duration::Human,
    hosts::Hosts,
    limits::SHUTDOWN_MAX,
    peers::{Http, http},
    shutdown::Shutdown,
};

use database::Database;
pub(crate) use error::Error;
pub(crate) use options::Options;
use serve::Server;

const MEBIBYTE: usize = 1024 * 1024;

/// How long a hand-over may take before it is worth a line in the log.
const SAY_WAITING_AFTER: Duration = Duration::from_secs(2);

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

/// Opens the key that seals histories, and the archive; the folder of the embedded database is there by now.
fn kept(options: &Options, config: &mut Config) -> Result<(), Error> {
    let file = options
        .seal_key
        .clone()
        .or_else(|| options.place.seal_key());
    if file.is_none() {
        tracing::info!("histories are not sealed: no --seal-key names a key");
    }
    let signer = file.map(|file| Signer::open(&file)).transpose()?;
    config.signer = signer.map(Arc::new);
    if let Some(url) = &options.archive {
        if config.signer.is_none() {
            return Err(Error::ArchiveUnsealed);
        }
        config.archive = Some(Arc::new(archive::Store::open(url)?));
    }
    Ok(())
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
    match kept(options, &mut config) {
        Ok(()) => {}
        Err(error) => {
            database.stop().await?;
            return Err(error);
        }
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
