//! A running Postgres and the loop that brings it back when it dies.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{interval, sleep},
};

use super::{
    Error, Options,
    binaries::Binaries,
    cluster::{Cluster, Leave, NotStarted},
    complaint::Complaint,
    postmaster::Postmaster,
};

/// The ports tried when none is given. They lie below the range from which the kernel serves outgoing connections, so that
/// no client's own socket can sit on ours while Postgres restarts.
const PORTS: std::ops::RangeInclusive<u16> = 15_432..=25_431;

/// How often a start is tried again while the remains of another server are in the way: for 30 s.
const START_ATTEMPTS_MAX: u32 = 300;
const START_RETRY: Duration = Duration::from_millis(100);

/// How often the size of the log is looked at.
const LOG_LOOK: Duration = Duration::from_mins(1);

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
    url_with_passfile: String,
    version: String,
    bin_dir: PathBuf,
    state: watch::Receiver<State>,
    supervised: Option<Supervised>,
    leave: Leave,
}

/// The supervisor of a server, and the way to stop it.
#[derive(Debug)]
struct Supervised {
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// Adopts or starts the Postgres of the data directory and returns when it accepts connections.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let cluster = Cluster::open(&options).await?;
        let postmaster = first_start(&cluster, options.port).await?;
        Self::supervise(cluster, postmaster)
    }

    /// The same, unless `stopped` comes first: then Postgres is shut down again, and there is none.
    pub async fn start_unless(
        options: Options,
        stopped: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Error> {
        tokio::pin!(stopped);
        let cluster = tokio::select! {
            opened = Cluster::open(&options) => opened?,
            () = &mut stopped => return Ok(None),
        };
        let started = tokio::select! {
            started = first_start(&cluster, options.port) => Some(started?),
            () = &mut stopped => None,
        };
        match started {
            Some(postmaster) => Self::supervise(cluster, postmaster).map(Some),
            None => cluster.shut_down().await.map(|()| None),
        }
    }

    fn supervise(cluster: Cluster, postmaster: Postmaster) -> Result<Self, Error> {
        let (pid, port) = (postmaster.pid(), postmaster.port());
        tracing::info!(pid, port, "Postgres accepts connections");
        let (url, url_with_passfile) = (cluster.url(port), cluster.url_with_passfile(port));
        let Binaries { version, dir, .. } = cluster.binaries.clone();
        let leave = cluster.leave()?;
        let (state_sender, state) = watch::channel(State::Running { pid });
        let (stop, stopped) = oneshot::channel();
        let supervisor = Supervisor {
            cluster,
            postmaster,
            state: state_sender,
            stop: stopped,
        };
        Ok(Self {
            url,
            url_with_passfile,
            version,
            bin_dir: dir,
            state,
            supervised: Some(Supervised {
                stop,
                supervisor: tokio::spawn(supervisor.run()),
            }),
            leave,
        })
    }

    /// The URL of the engine's database, with its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the engine's database for humans: with the name of the file that has the password. psql reads it, and whatever
    /// else goes by libpq.
    pub fn url_with_passfile(&self) -> &str {
        &self.url_with_passfile
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
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(Supervised { stop, supervisor }) = self.supervised.take() else {
            return Ok(());
        };
        // The supervisor has ended only if its thread panicked, which the next line reports.
        let _ = stop.send(());
        supervisor.await.map_err(|panic| Error::Start {
            log: panic.to_string(),
            advice: "`coreason stop` stops it".to_owned(),
        })?
    }
}

impl Drop for Server {
    /// The runtime, and the supervisor with it, may end before it has seen that it is to stop.
    fn drop(&mut self) {
        self.leave.now();
    }
}

/// Starts, and waits while the processes of a server that has just died are in the way.
async fn first_start(cluster: &Cluster, port: Option<u16>) -> Result<Postmaster, Error> {
    let mut attempt = 1;
    loop {
        let choose = || port.map_or_else(free_port, Ok);
        let (adopted, log) = match cluster.start(choose).await {
            Ok(postmaster) => {
                cluster.ensure_database(postmaster.port()).await?;
                return Ok(postmaster);
            }
            Err(NotStarted::Ended { adopted, log }) => (adopted, log),
            Err(NotStarted::Error(error)) => return Err(error),
        };
        let passing = adopted || Complaint::of(&log).is_passing(port.is_none());
        if attempt >= START_ATTEMPTS_MAX || !passing {
            return Err(cluster.complaint(&log));
        }
        attempt += 1;
        sleep(START_RETRY).await;
    }
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
}

impl Supervisor {
    async fn run(mut self) -> Result<(), Error> {
        let mut log_looks = interval(LOG_LOOK);
        loop {
            tokio::select! {
                // First: whoever drops the server has told Postgres to end, and it is not to be brought back then.
                biased;
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
        self.cluster.shut_down().await
    }

    /// Starts on the same port until it succeeds; false when told to stop meanwhile.
    async fn restart(&mut self) -> bool {
        let port = self.postmaster.port();
        for attempt in 0.. {
            tokio::select! {
                biased;
                _ = &mut self.stop => return false,
                started = self.cluster.start(|| Ok(port)) => match started {
                    Ok(postmaster) => {
                        self.postmaster = postmaster;
                        return true;
                    }
                    Err(NotStarted::Ended { log, .. }) => {
                        let error = self.cluster.complaint(&log);
                        tracing::warn!(%error, code = error.code(), "Postgres did not come back");
                    }
                    Err(NotStarted::Error(error)) => {
                        let source = std::error::Error::source(&error);
                        tracing::warn!(%error, source, code = error.code(), "Postgres did not come back");
                    }
                }
            }
            tokio::select! {
                biased;
                _ = &mut self.stop => return false,
                () = sleep(restart_delay(attempt)) => {}
            }
        }
        false
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
    fn free_port_is_below_the_range_of_outgoing_connections() {
        assert!(PORTS.contains(&free_port().unwrap()));
    }
}
