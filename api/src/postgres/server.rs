//! A running Postgres and the loop that brings it back when it dies.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use super::Error;
use super::binaries::Binaries;
use super::cluster::Cluster;
use super::postmaster::{Ended, Postmaster};

/// The ports tried when none is given. They lie below the range from which the kernel serves outgoing connections, so that
/// no client's own socket can sit on ours while Postgres restarts.
const PORTS: std::ops::RangeInclusive<u16> = 15_432..=25_431;

/// How often a start is tried again while the remains of another server are in the way: for 30 s.
const START_ATTEMPTS_MAX: u32 = 300;
const START_RETRY: Duration = Duration::from_millis(100);

/// How long a fast shutdown may take before an immediate one follows, which costs the next start a recovery.
const SHUTDOWN_MAX: Duration = Duration::from_mins(1);

/// How often the size of the log is looked at.
const LOG_LOOK: Duration = Duration::from_mins(1);

/// Where and how to run Postgres.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that keeps the cluster; made when missing.
    pub data_dir: PathBuf,
    /// The folder of `initdb` and `postgres`; `None` looks for one: `COREASON_POSTGRES`, the one
    /// packed in this program, `PATH`, the distribution's folders.
    pub bin_dir: Option<PathBuf>,
    /// The port on 127.0.0.1; `None` takes a free one. A Postgres that runs already keeps its own.
    pub port: Option<u16>,
}

/// What the embedded Postgres does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It accepts connections.
    Running { pid: u32 },
    /// The postmaster died and is brought back on the same port.
    Restarting { died: u32 },
}

/// A running Postgres, restarted whenever it dies, until [`Server::stop`]. Dropping it shuts Postgres down without waiting.
#[derive(Debug)]
pub struct Server {
    url: String,
    version: String,
    bin_dir: PathBuf,
    state: watch::Receiver<State>,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// Adopts or starts the Postgres of the data directory and returns when it accepts connections.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let cluster = Cluster::open(&options).await?;
        let postmaster = first_start(&cluster, options.port).await?;
        cluster.create_database(postmaster.port()).await?;
        tracing::info!(
            pid = postmaster.pid(),
            port = postmaster.port(),
            "Postgres accepts connections"
        );

        let url = cluster.url(postmaster.port());
        let Binaries { version, dir, .. } = cluster.binaries.clone();
        let (state_sender, state) = watch::channel(State::Running {
            pid: postmaster.pid(),
        });
        let (stop, stopped) = oneshot::channel();
        let supervisor = Supervisor {
            cluster,
            postmaster,
            state: state_sender,
            stop: stopped,
            done: false,
        };
        Ok(Self {
            url,
            version,
            bin_dir: dir,
            state,
            stop,
            supervisor: tokio::spawn(supervisor.run()),
        })
    }

    /// The URL of the engine's database, with its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The version of the binaries, such as `18.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder of the binaries.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The process id of the postmaster; while it restarts, of the one that died.
    pub fn pid(&self) -> u32 {
        match *self.state.borrow() {
            State::Running { pid } | State::Restarting { died: pid } => pid,
        }
    }

    /// Follows deaths and restarts. The channel closes when Postgres is stopped.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Shuts Postgres down, unless another process uses the same data directory: then it is left to that one.
    pub async fn stop(self) -> Result<(), Error> {
        // The supervisor has ended only if its thread panicked, which the next line reports.
        let _ = self.stop.send(());
        self.supervisor.await.map_err(|panic| Error::Start {
            log: panic.to_string(),
        })?
    }
}

/// Starts, and waits while the processes of a server that has just died, or another start at the same time, are in the way.
async fn first_start(cluster: &Cluster, port: Option<u16>) -> Result<Postmaster, Error> {
    let mut attempt = 1;
    loop {
        let offset = cluster.log.len();
        let mut postmaster = cluster.launch(port.map_or_else(free_port, Ok)?).await?;
        let Err(Ended) = postmaster.ready().await else {
            return Ok(postmaster);
        };
        let log = cluster.log.since(offset);
        if attempt >= START_ATTEMPTS_MAX
            || !(postmaster.is_adopted() || is_passing(&log, port.is_none()))
        {
            return Err(Error::Start { log });
        }
        attempt += 1;
        sleep(START_RETRY).await;
    }
}

/// Whether what Postgres complains of passes by itself, or with another port where we choose it.
fn is_passing(log: &str, port_is_ours: bool) -> bool {
    let held = log.contains("lock file \"postmaster.pid\"")
        || log.contains("pre-existing shared memory block");
    held || (port_is_ours && log.contains("Address already in use"))
}

fn free_port() -> Result<u16, Error> {
    // Starting at another place in each process keeps parallel starts apart.
    let span = PORTS.end() - PORTS.start() + 1;
    let first = u16::try_from(std::process::id() % u32::from(span)).unwrap_or(0);
    (0..span)
        .map(|step| PORTS.start() + (first + step) % span)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(Error::NoPort {
            first: *PORTS.start(),
            last: *PORTS.end(),
        })
}

/// Owns the postmaster until it is told to stop.
#[derive(Debug)]
struct Supervisor {
    cluster: Cluster,
    postmaster: Postmaster,
    state: watch::Sender<State>,
    /// Resolves when the server is stopped, and when it is dropped.
    stop: oneshot::Receiver<()>,
    done: bool,
}

impl Supervisor {
    async fn run(mut self) -> Result<(), Error> {
        let mut log_looks = interval(LOG_LOOK);
        loop {
            tokio::select! {
                _ = &mut self.stop => break,
                () = self.postmaster.ended() => {
                    let died = self.postmaster.pid();
                    tracing::warn!(pid = died, "Postgres died; starting it again");
                    self.state.send_replace(State::Restarting { died });
                    if !self.restart().await {
                        break;
                    }
                    let pid = self.postmaster.pid();
                    tracing::info!(pid, "Postgres accepts connections again");
                    self.state.send_replace(State::Running { pid });
                }
                _ = log_looks.tick() => {
                    if let Err(error) = self.cluster.log.limit() {
                        tracing::warn!(%error, "cannot cut the log of Postgres");
                    }
                }
            }
        }
        self.shut_down().await
    }

    /// Starts on the same port until it succeeds; false when told to stop meanwhile.
    async fn restart(&mut self) -> bool {
        let port = self.postmaster.port();
        for attempt in 0.. {
            let offset = self.cluster.log.len();
            match self.cluster.launch(port).await {
                Ok(postmaster) => {
                    self.postmaster = postmaster;
                    tokio::select! {
                        _ = &mut self.stop => return false,
                        ready = self.postmaster.ready() => {
                            if ready.is_ok() {
                                return true;
                            }
                            tracing::warn!(log = self.cluster.log.since(offset), "Postgres did not come back");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "Postgres did not come back"),
            }
            tokio::select! {
                _ = &mut self.stop => return false,
                () = sleep(restart_delay(attempt)) => {}
            }
        }
        false
    }

    async fn shut_down(mut self) -> Result<(), Error> {
        self.done = true;
        if !self.cluster.is_alone()? {
            tracing::info!(
                pid = self.postmaster.pid(),
                "another process uses this Postgres; leaving it running"
            );
            return Ok(());
        }
        let failed = Error::io("signal the postmaster of", self.cluster.log.path());
        self.postmaster.shut_down_fast().map_err(failed)?;
        if timeout(SHUTDOWN_MAX, self.postmaster.ended())
            .await
            .is_err()
        {
            tracing::warn!(
                pid = self.postmaster.pid(),
                "Postgres does not shut down; ending it at once"
            );
            let failed = Error::io("signal the postmaster of", self.cluster.log.path());
            self.postmaster.shut_down_immediately().map_err(failed)?;
            self.postmaster.ended().await;
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    /// Runs undone when the runtime ends before [`Server::stop`], as after a panic.
    fn drop(&mut self) {
        if !self.done && self.cluster.is_alone().unwrap_or(false) {
            let _ = self.postmaster.shut_down_fast();
        }
    }
}

/// 50 ms, 100 ms, 200 ms, 400 ms, 800 ms, 1.6 s, 2 s, 2 s, ...
fn restart_delay(attempt: u32) -> Duration {
    Duration::from_millis(50)
        .saturating_mul(1 << attempt.min(10))
        .min(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_delays_grow_to_two_seconds() {
        let delays: Vec<u128> = (0..8)
            .map(|attempt| restart_delay(attempt).as_millis())
            .collect();

        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(restart_delay(u32::MAX), Duration::from_secs(2));
    }

    #[test]
    fn taken_port_passes_only_where_we_choose_it() {
        let log = "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use";

        assert!(is_passing(log, true));
        assert!(!is_passing(log, false));
    }

    #[test]
    fn free_port_is_below_the_range_of_outgoing_connections() {
        assert!(PORTS.contains(&free_port().unwrap()));
    }
}
