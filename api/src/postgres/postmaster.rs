//! The postmaster, the first process of a running Postgres: ours by birth or by adoption.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    process::Child,
    time::{Instant, Interval, MissedTickBehavior, interval, interval_at, timeout},
};

use super::process::{backends_of, is_alive, is_postmaster_of, postmasters_of, send};

/// How often `postmaster.pid`, and the life of an adopted postmaster, are looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long a postmaster may take to write its `postmaster.pid`. One without is of no use to anybody: it ends by itself within
/// a minute, when it looks for the file.
const YOUTH: Duration = Duration::from_secs(2);

/// How long backends without a postmaster may take to end once they are told to.
const BACKENDS_END: Duration = Duration::from_secs(2);

/// How long a process that was killed may take to be gone.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// How often a long recovery is reported.
const REPORT: Duration = Duration::from_secs(5);

/// A postmaster that was started or found.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: u32,
    port: u16,
    pgdata: PathBuf,
    /// Absent when a process before us started it.
    child: Option<Child>,
}

/// The postmaster ended before it accepted connections.
#[derive(Debug)]
pub(super) struct Ended;

impl Postmaster {
    pub(super) fn started(child: Child, port: u16, pgdata: &Path) -> io::Result<Self> {
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the postmaster has no process id"))?;
        Ok(Self {
            pid,
            port,
            pgdata: pgdata.to_owned(),
            child: Some(child),
        })
    }

    /// Finds the live postmaster of this very cluster by its `postmaster.pid`. `pgdata` must be a canonical path.
    pub(super) fn running(pgdata: &Path) -> Option<Self> {
        let file = PidFile::read(pgdata)?;
        Some(Self {
            pid: file.pid,
            port: file.port?,
            pgdata: pgdata.to_owned(),
            child: None,
        })
        .filter(|_| is_postmaster_of(file.pid, pgdata))
    }

    /// Finds the live postmaster of this very cluster, also while its `postmaster.pid` is not written yet. One whose file is
    /// lost or damaged is ended, because no other process can find it.
    /// It gets `patience` for each way to end it.
    pub(super) async fn find(pgdata: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let mut polls = polls();
        let young_until = Instant::now() + YOUTH;
        loop {
            if let Some(running) = Self::running(pgdata) {
                return Ok(Some(running));
            }
            let lost = postmasters_of(pgdata);
            if lost.is_empty() {
                return Ok(None);
            }
            if Instant::now() >= young_until {
                for pid in lost {
                    tracing::warn!(pid, "ending a Postgres whose postmaster.pid is damaged");
                    let mut lost = Self {
                        pid,
                        port: 0,
                        pgdata: pgdata.to_owned(),
                        child: None,
                    };
                    lost.shut_down(patience).await?;
                }
            }
            polls.tick().await;
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Waits until connections are accepted, however long a recovery takes.
    pub(super) async fn ready(&mut self) -> Result<(), Ended> {
        let pgdata = self.pgdata.clone();
        let pid = self.pid;
        let mut polls = polls();
        let mut reports = interval_at(Instant::now() + REPORT, REPORT);
        loop {
            tokio::select! {
                () = self.ended() => return Err(Ended),
                _ = polls.tick() => {
                    if PidFile::read(&pgdata).is_some_and(|file| file.pid == pid && file.ready) {
                        return Ok(());
                    }
                }
                _ = reports.tick() => tracing::info!(pid, "Postgres is still starting up; it recovers what a crash left behind"),
            }
        }
    }

    /// Waits for the end of the process. May be dropped and called again.
    pub(super) async fn ended(&mut self) {
        if let Some(child) = &mut self.child {
            // The only failure is that somebody else has reaped the process, so it has ended.
            let _ = child.wait().await;
            return;
        }
        let mut polls = polls();
        while is_postmaster_of(self.pid, &self.pgdata) {
            polls.tick().await;
        }
    }

    /// Shuts it down and waits for its end: open transactions are rolled back, a checkpoint is written. What takes longer than
    /// `patience` is ended at once, and the next start recovers.
    pub(super) async fn shut_down(&mut self, patience: Duration) -> io::Result<()> {
        send(self.pid, Signal::SIGINT)?;
        if timeout(patience, self.ended()).await.is_err() {
            let pid = self.pid;
            tracing::warn!(pid, "Postgres does not shut down; ending it at once");
            send(self.pid, Signal::SIGQUIT)?;
            if timeout(patience, self.ended()).await.is_err() {
                send(self.pid, Signal::SIGKILL)?;
                // Nothing can ignore that; but one that waits for its disk ends only then.
                drop(timeout(KILLED_WITHIN, self.ended()).await);
            }
        }
        Ok(())
    }
}

/// Clears what a dead postmaster left in the way of the next one: its backends, which notice its death only when they next
/// wait, and files that a loss of power has left empty or damaged, or whose process id now belongs to a stranger. The files go
/// last: they keep others out while a backend still writes. Nobody else may be starting the cluster, and no postmaster of it may run.
pub(super) async fn clear_remains(pgdata: &Path) -> io::Result<()> {
    for signal in [Signal::SIGQUIT, Signal::SIGKILL] {
        for pid in backends_of(pgdata) {
            tracing::info!(pid, %signal, "ending a backend whose postmaster is gone");
            send(pid, signal)?;
        }
        let gone = async {
            let mut polls = polls();
            while !backends_of(pgdata).is_empty() {
                polls.tick().await;
            }
        };
        if timeout(BACKENDS_END, gone).await.is_ok() {
            break;
        }
    }
    if let Some(pid) = backends_of(pgdata).first() {
        return Err(io::Error::other(format!(
            "process {pid}, a backend whose postmaster is gone, does not end"
        )));
    }
    // One of a dead process is left for Postgres, which finds its shared memory by it.
    if PidFile::read(pgdata).is_none_or(|file| is_alive(file.pid)) {
        remove(&pgdata.join("postmaster.pid"))?;
    }
    // Only `pg_ctl restart` reads it; a server that may not write it does not start.
    remove(&pgdata.join("postmaster.opts"))
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io::Error::new(
            error.kind(),
            format!("{} is in the way: {error}", path.display()),
        )),
        _ => Ok(()),
    }
}

fn polls() -> Interval {
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    polls
}

/// What `postmaster.pid` says: process id, data directory, start time, port, socket folder, address, shared memory, status.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: u32,
    port: Option<u16>,
    ready: bool,
}

impl PidFile {
    fn read(pgdata: &Path) -> Option<Self> {
        let text = fs::read(pgdata.join("postmaster.pid")).ok()?;
        // A path need not be UTF-8.
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// A postmaster writes the lines one after the other, so a young file may lack the last ones.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            pid: lines.first()?.parse().ok().filter(|&pid| pid > 0)?,
            port: lines.get(3).and_then(|port| port.parse().ok()),
            ready: lines.get(7).is_some_and(|&status| status == "ready"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_file_is_read_whole_or_young() {
        let whole = "4711\n/data/pgdata\n1764000000\n15433\n\n127.0.0.1\n  1  2\nready   \n";
        let young = "4711\n/data/pgdata\n1764000000\n15433\n";
        let file = |port, ready| {
            Some(PidFile {
                pid: 4711,
                port,
                ready,
            })
        };

        assert_eq!(PidFile::parse(whole), file(Some(15433), true));
        assert_eq!(PidFile::parse(young), file(Some(15433), false));
        assert_eq!(PidFile::parse("4711\n"), file(None, false));
        for damaged in ["", "\n", "0\n", "-1\n", "\0\0\0\0", "garbage\n1\n2\n3\n"] {
            assert_eq!(PidFile::parse(damaged), None, "{damaged:?}");
        }
    }

    /// A folder with a `postmaster.pid` of this text, as a dead or a strange process left it.
    fn left(name: &str, text: &str) -> PathBuf {
        let pgdata = std::env::temp_dir().join(format!("coreason-{name}-{}", std::process::id()));
        fs::create_dir_all(&pgdata).unwrap();
        fs::write(pgdata.join("postmaster.pid"), text).unwrap();
        pgdata
    }

    #[tokio::test]
    async fn remains_are_cleared_away_but_for_what_postgres_reads_itself() {
        let stranger = format!("{}\n/elsewhere\n0\n15433\n", std::process::id());
        let cut = format!("{}", std::process::id());
        for (text, kept) in [
            (stranger.as_str(), false),
            (&cut, false),
            ("", false),
            ("\0\0\0\0\0\0", false),
            ("garbage\n", false),
            ("4194303\n/data\n0\n15433\n", true),
        ] {
            let pgdata = left("remains", text);

            assert!(Postmaster::running(&pgdata).is_none(), "{text:?}");
            clear_remains(&pgdata).await.unwrap();

            assert_eq!(pgdata.join("postmaster.pid").exists(), kept, "{text:?}");
            fs::remove_dir_all(&pgdata).unwrap();
        }
    }

    #[tokio::test]
    async fn files_stay_until_the_last_backend_is_gone() {
        let pgdata = left("backend", "");
        let pgdata = fs::canonicalize(pgdata).unwrap();
        // It does not hear the first signal.
        let mut backend = std::process::Command::new("bash")
            .args(["-c", "trap '' QUIT; exec -a 'postgres: backend' sleep 600"])
            .current_dir(&pgdata)
            .spawn()
            .unwrap();
        while backends_of(&pgdata).is_empty() {
            tokio::task::yield_now().await;
        }

        clear_remains(&pgdata).await.unwrap();

        assert!(!is_alive(backend.id()));
        assert!(!pgdata.join("postmaster.pid").exists());
        backend.wait().unwrap();
        fs::remove_dir_all(&pgdata).unwrap();
    }

    #[tokio::test]
    async fn postmaster_without_a_pid_file_that_does_not_end_is_ended() {
        let pgdata = fs::canonicalize(left("deaf", "")).unwrap();
        let mut deaf = std::process::Command::new("bash")
            .args(["-c", "trap '' INT QUIT; exec -a postgres sleep 600"])
            .current_dir(&pgdata)
            .spawn()
            .unwrap();
        while postmasters_of(&pgdata).is_empty() {
            tokio::task::yield_now().await;
        }

        let found = Postmaster::find(&pgdata, Duration::from_millis(10)).await;

        assert!(found.unwrap().is_none());
        assert!(!is_alive(deaf.id()));
        deaf.wait().unwrap();
        fs::remove_dir_all(&pgdata).unwrap();
    }
}
