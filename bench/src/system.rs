//! A system under measurement: processes that run, and the ways to load them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio_postgres::config::Host;

use crate::{
    http::{self, Service},
    load::{Figures, closed_loop},
    meter::{Measured, Meter, Store},
    process::Process,
};

/// What the bench has made for all of them.
pub(crate) struct Ground {
    /// A temporary folder.
    pub(crate) folder: PathBuf,
    /// Postgres, by the URL of our own database.
    pub(crate) url: String,
    /// Our engine seals histories, as it does for its users.
    pub(crate) is_sealed: bool,
    pub(crate) meter: Meter,
}

/// A number of activities and of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) activities: u32,
    pub(crate) clients: usize,
}

/// One that runs.
pub(crate) struct System {
    pub(crate) processes: Vec<Process>,
    pub(crate) load: Load,
    pub(crate) store: Store,
}

/// How it is loaded.
pub(crate) enum Load {
    /// By our client over HTTP; a service for each name of the kind.
    Http(SocketAddr, Vec<Service>),
    /// By itself: the last process takes the lines of `load::on_stdin`.
    Itself,
}

impl System {
    /// Runs a load in one of its ways and counts what it takes.
    pub(crate) async fn measure(
        &mut self,
        way: usize,
        case: Case,
        time: Duration,
        meter: &Meter,
    ) -> Result<Measured> {
        let engine: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        let store = self.store;
        match &self.load {
            Load::Http(address, services) => {
                let service = *services.get(way).context("a service a way")?;
                let load = over_http(*address, service, case, time);
                meter.measure(&engine, store, true, load).await
            }
            Load::Itself => {
                let load = by_itself(self.processes.last_mut(), case, time);
                meter.measure(&engine, store, false, load).await
            }
        }
    }

    /// Stops its processes, the last first.
    pub(crate) async fn stop(mut self) -> Result<()> {
        while let Some(process) = self.processes.pop() {
            process.stop().await?;
        }
        Ok(())
    }
}

async fn over_http(
    address: SocketAddr,
    service: Service,
    case: Case,
    time: Duration,
) -> Result<Figures> {
    let mut clients = Vec::with_capacity(case.clients);
    for _ in 0..case.clients {
        clients.push(http::Client::connect(address, service).await?);
    }
    closed_loop(clients, case.activities, time).await
}

async fn by_itself(process: Option<&mut Process>, case: Case, time: Duration) -> Result<Figures> {
    let process = process.context("a process")?;
    let Case {
        activities,
        clients,
    } = case;
    process
        .tell(&format!("{activities} {clients} {}", time.as_secs()))
        .await?;
    let said: serde_json::Value = serde_json::from_str(&process.hear().await?)?;
    let number = |name| {
        said[name]
            .as_f64()
            .with_context(|| format!("{name} in {said}"))
    };
    Ok(Figures {
        workflows: said["workflows"].as_u64().context("workflows")?,
        seconds: number("seconds")?,
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
    })
}

impl Ground {
    /// Makes a database for a peer unless it is there, and returns its URL.
    pub(crate) async fn database(&self, name: &str) -> Result<String> {
        self.meter.make_database(name).await?;
        let (server, _) = self.url.rsplit_once('/').context("a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Returns where Postgres listens, a user and its password.
    pub(crate) fn credentials(&self) -> Result<(String, String, String)> {
        let config: tokio_postgres::Config = self.url.parse()?;
        let (Some(Host::Tcp(host)), Some(port)) =
            (config.get_hosts().first(), config.get_ports().first())
        else {
            anyhow::bail!("Postgres listens on a port");
        };
        let password = config.get_password().unwrap_or_default();
        Ok((
            format!("{host}:{port}"),
            config.get_user().unwrap_or_default().to_owned(),
            String::from_utf8(password.to_owned())?,
        ))
    }
}

/// Returns ports that are free now, below those from which the kernel serves outgoing connections; Temporal's schema has no
/// room for larger ones either.
pub(crate) async fn free_ports<const N: usize>() -> [u16; N] {
    let mut ports = [0; N];
    let mut tried = u16::try_from(20_000 + std::process::id() % 10_000).unwrap_or(20_000);
    for port in &mut ports {
        while TcpListener::bind(("127.0.0.1", tried)).await.is_err() {
            tried += 1;
        }
        *port = tried;
        tried += 1;
    }
    ports
}
