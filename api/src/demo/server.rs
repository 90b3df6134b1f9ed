//! The server of the demo: `coreason dev` as a child process, so that it can be killed.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::Error;
use crate::postgres;

/// How long a start may take: an initialisation, or the recovery of a killed Postgres, on a slow disk.
const READY_MAX: Duration = Duration::from_mins(2);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_mins(1);
/// How often it is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(5);
/// How much of the log is shown when the server does not start.
const LOG_LINES: usize = 15;

/// A server and the data directory that outlives its process.
pub(super) struct Server {
    process: Child,
    data_dir: PathBuf,
    keep: bool,
    port: u16,
    activity_slots: Option<u32>,
}

impl Server {
    /// Starts a server on a free port; in a new data directory unless one is given, with as many activities at once as
    /// usual unless told.
    pub(super) async fn start(
        data_dir: Option<PathBuf>,
        activity_slots: Option<u32>,
    ) -> Result<Self, Error> {
        let keep = data_dir.is_some();
        let data_dir = data_dir.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("coreason-demo-{}", uuid::Uuid::new_v4().simple()))
        });
        fs::create_dir_all(&data_dir).map_err(Error::io("create the data directory"))?;
        let port = free_port().map_err(Error::io("find a free port"))?;
        let process = launch(&data_dir, port, activity_slots)?;
        let mut server = Self {
            process,
            data_dir,
            keep,
            port,
            activity_slots,
        };
        match server.ready().await {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop().await?;
                Err(error)
            }
        }
    }

    /// Returns where it answers HTTP.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns its data directory.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Kills the engine's process and starts another one on the same data.
    pub(super) async fn kill_engine(&mut self) -> Result<(), Error> {
        self.process
            .kill()
            .await
            .map_err(Error::io("kill the engine"))?;
        self.process = launch(&self.data_dir, self.port, self.activity_slots)?;
        self.ready().await
    }

    /// Kills Postgres's first process; the engine's process brings it back.
    pub(super) fn kill_postgres(&self) -> Result<(), Error> {
        let file = self.data_dir.join("pgdata/postmaster.pid");
        let text =
            fs::read_to_string(file).map_err(Error::io("read the postmaster's process id"))?;
        let pid = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .ok_or(Error::NoPostmaster)?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)
            .map_err(|errno| Error::io("kill Postgres")(errno.into()))
    }

    /// Waits until the server owns its database.
    async fn ready(&mut self) -> Result<(), Error> {
        let url = format!("{}/readyz", self.address());
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap_or_default();
        let until = Instant::now() + READY_MAX;
        while Instant::now() < until {
            if let Some(status) = self
                .process
                .try_wait()
                .map_err(Error::io("look after the server"))?
            {
                return Err(Error::ServerEnded {
                    status: status.to_string(),
                    log: self.log_tail(),
                });
            }
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|response| response.status().is_success())
            {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(Error::ServerNotReady {
            log: self.log_tail(),
        })
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.data_dir.join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Stops the server and removes a data directory that nobody asked to keep.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        let running = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = running {
            // It may have ended by itself, as after Ctrl-C, which reaches it too.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if timeout(STOP_MAX, self.process.wait()).await.is_err() {
            self.process
                .kill()
                .await
                .map_err(Error::io("kill the engine"))?;
        }
        self.stop_left_postgres().await?;
        if !self.keep {
            fs::remove_dir_all(&self.data_dir).map_err(Error::io("remove the data directory"))?;
        }
        Ok(())
    }

    /// A killed engine leaves its Postgres running for the next one; there is none after the last.
    async fn stop_left_postgres(&self) -> Result<(), Error> {
        if !self.data_dir.join("pgdata/postmaster.pid").exists() {
            return Ok(());
        }
        postgres::stop(&self.data_dir).await?;
        Ok(())
    }
}

fn launch(data_dir: &Path, port: u16, activity_slots: Option<u32>) -> Result<Child, Error> {
    let program = std::env::current_exe().map_err(Error::io("find this program"))?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(data_dir.join("engine.log"))
        .map_err(Error::io("open the engine's log"))?;
    let mut command = Command::new(program);
    command
        .args(["dev", "--built-in"])
        .args(["--listen", &format!("{}:{port}", Ipv4Addr::LOCALHOST)])
        .arg("--data-dir")
        .arg(data_dir)
        .env_remove("DATABASE_URL")
        .env_remove("COREASON_NAMESPACE")
        .env_remove("COREASON_ADVERTISE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    if let Some(slots) = activity_slots {
        command.args(["--activity-slots", &slots.to_string()]);
    }
    command.spawn().map_err(Error::io("start the server"))
}

/// Returns a port that is free now. Nothing else is likely to take it before the server does.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
