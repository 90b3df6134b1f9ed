//! The postmaster, the first process of a running Postgres: ours by birth or by adoption.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

/// How often `postmaster.pid`, and the life of an adopted postmaster, are looked at.
const POLL: Duration = Duration::from_millis(20);

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

    /// Finds the live postmaster of this very cluster. `pgdata` must be a canonical path.
    pub(super) fn running(pgdata: &Path) -> Option<Self> {
        let file = PidFile::read(pgdata)?;
        is_postgres_of(file.pid, pgdata).then(|| Self {
            pid: file.pid,
            port: file.port,
            pgdata: pgdata.to_owned(),
            child: None,
        })
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
        while is_postgres_of(self.pid, &self.pgdata) {
            polls.tick().await;
        }
    }

    /// Asks for a fast shutdown: open transactions are rolled back, a checkpoint is written.
    pub(super) fn shut_down_fast(&self) -> io::Result<()> {
        send(self.pid, Signal::SIGINT)
    }

    /// Ends it at once; the next start recovers.
    pub(super) fn shut_down_immediately(&self) -> io::Result<()> {
        send(self.pid, Signal::SIGQUIT)
    }
}

/// Clears what a dead postmaster left in the way of the next one: its backends, which notice its death only when they next
/// wait, and a `postmaster.pid` whose number now belongs to a stranger, which Postgres would take for a running server.
pub(super) fn clear_remains(pgdata: &Path) -> io::Result<()> {
    for pid in orphans(pgdata) {
        tracing::info!(pid, "ending a backend whose postmaster is gone");
        send(pid, Signal::SIGQUIT)?;
    }
    let stranger = PidFile::read(pgdata)
        .is_some_and(|file| is_alive(file.pid) && !is_postgres_of(file.pid, pgdata));
    if stranger {
        fs::remove_file(pgdata.join("postmaster.pid"))
    } else {
        Ok(())
    }
}

fn polls() -> Interval {
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    polls
}

/// A process that is gone already needs no signal.
fn send(pid: u32, signal: Signal) -> io::Result<()> {
    match signal::kill(process(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_alive(pid: u32) -> bool {
    signal::kill(process(pid), None) != Err(Errno::ESRCH)
}

/// A number that is no process id becomes one that no process has.
fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Whether the process is a Postgres that works in this cluster. A zombie is not.
fn is_postgres_of(pid: u32, pgdata: &Path) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    let works_here = fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == pgdata);
    works_here
        && fs::read_link(proc.join("exe"))
            .is_ok_and(|exe| exe.to_string_lossy().contains("/postgres"))
}

/// The processes of this cluster that are no postmaster: they have retitled themselves `postgres: ...`.
fn orphans(pgdata: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| is_postgres_of(pid, pgdata))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|title| title.starts_with(b"postgres: "))
        })
        .collect()
}

/// What `postmaster.pid` says: process id, data directory, start time, port, socket folder, address, shared memory, status.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: u32,
    port: u16,
    ready: bool,
}

impl PidFile {
    fn read(pgdata: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(pgdata.join("postmaster.pid")).ok()?)
    }

    /// A postmaster writes the lines one after the other, so a young file may lack the last ones.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            pid: lines.first()?.parse().ok()?,
            port: lines.get(3)?.parse().ok()?,
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

        assert_eq!(
            PidFile::parse(whole),
            Some(PidFile {
                pid: 4711,
                port: 15433,
                ready: true
            })
        );
        assert_eq!(
            PidFile::parse(young),
            Some(PidFile {
                pid: 4711,
                port: 15433,
                ready: false
            })
        );
        assert_eq!(PidFile::parse("4711\n"), None);
    }

    #[test]
    fn stranger_with_the_number_of_a_dead_postmaster_is_not_adopted() {
        let pgdata = std::env::temp_dir().join(format!("coreason-stranger-{}", std::process::id()));
        fs::create_dir_all(&pgdata).unwrap();
        let stranger = format!("{}\n{}\n0\n15433\n", std::process::id(), pgdata.display());
        fs::write(pgdata.join("postmaster.pid"), stranger).unwrap();

        assert!(Postmaster::running(&pgdata).is_none());
        clear_remains(&pgdata).unwrap();
        assert!(!pgdata.join("postmaster.pid").exists());
        fs::remove_dir_all(&pgdata).unwrap();
    }
}
