//! `coreason dev` with its own Postgres, as a person at the terminal has it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::PATIENCE;

/// What the shell has for another program: an option on the command line goes before it.
const ELSEWHERE: &str = "postgres://app@127.0.0.1:1/app";

/// A data directory that its test removes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("coreason-embedded-{}", uuid::Uuid::new_v4().simple());
        Self(std::env::temp_dir().join(name))
    }

    fn coreason(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command
            .args(words)
            .arg("--data-dir")
            .arg(&self.0)
            .env("DATABASE_URL", ELSEWHERE)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.coreason(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// Where a server logs to: a pipe that nobody empties would hold it up.
    fn log(&self) -> PathBuf {
        self.0.with_extension("log")
    }

    /// Waits until no Postgres runs here.
    fn is_quiet(&self) {
        let since = Instant::now();
        while self.0.join("pgdata/postmaster.pid").exists() {
            assert!(since.elapsed() < PATIENCE, "Postgres runs on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.run(&["stop"]);
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(self.log());
    }
}

/// A server, and what it prints until it is ready.
struct Dev {
    process: Child,
    printed: String,
    log: PathBuf,
}

impl Dev {
    fn start(folder: &Folder) -> Self {
        let mut process = folder
            .coreason(&["dev", "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(File::create(folder.log()).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while !printed.contains("Ctrl-C") {
            let line = lines.next().expect("it ended before it was ready").unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
        Self {
            process,
            printed,
            log: folder.log(),
        }
    }

    fn signal(&self) {
        self.send(Signal::SIGTERM);
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Waits for its end, and returns the status and the log.
    fn ended(mut self) -> (Option<i32>, String) {
        let status = self.process.wait().unwrap();
        (status.code(), std::fs::read_to_string(self.log).unwrap())
    }
}

fn password(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("password")).unwrap()
}

#[test]
fn password_is_neither_printed_nor_logged() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let printed = dev.printed.clone();
    dev.signal();

    let (status, log) = dev.ended();

    let password = password(&folder.0);
    assert_eq!(status, Some(0), "{log}");
    assert!(
        printed.contains("psql 'postgres://coreason@127.0.0.1:"),
        "{printed}"
    );
    assert!(!printed.contains(&password), "{printed}");
    assert!(log.contains("DEBUG") && !log.contains(&password), "{log}");
    assert!(!folder.0.join("pgdata/postmaster.pid").exists());
}

/// What the end of a terminal or of an `ssh` sends.
#[test]
fn hangup_stops_the_process_and_postgres_in_order() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    dev.send(Signal::SIGHUP);

    let (status, log) = dev.ended();

    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("stopping"), "{log}");
    assert!(!folder.0.join("pgdata/postmaster.pid").exists());
}

#[test]
fn two_signals_at_once_end_the_process_and_postgres() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    dev.signal();
    // One signal that is pending takes up the next of its kind.
    while !is_over(&dev) {
        dev.signal();
        std::thread::sleep(Duration::from_millis(1));
    }

    let (_, log) = dev.ended();

    assert!(log.contains("stopping"), "{log}");
    folder.is_quiet();
}

/// Whether a process has ended: it is a zombie until it is waited for.
fn is_over(dev: &Dev) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", dev.process.id()));
    line.is_ok_and(|line| line.is_empty())
}

#[test]
fn stop_ends_a_server_and_the_postgres_that_a_kill_has_left() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let waited = std::thread::scope(|scope| {
        let stopped = scope.spawn(|| folder.run(&["stop"]));
        let (status, _) = dev.ended();
        (stopped.join().unwrap(), status)
    });
    let ((code, out, err), status) = waited;
    assert_eq!((code, status), (0, Some(0)), "{err}");
    assert!(out.starts_with("stopped process "), "{out}");
    folder.is_quiet();

    let mut dev = Dev::start(&folder);
    dev.process.kill().unwrap();
    dev.ended();
    let (code, out, err) = folder.run(&["stop"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("stopped Postgres (process "), "{out}");
    assert!(!folder.0.join("pgdata/postmaster.pid").exists());

    let (code, out, _) = folder.run(&["stop"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("nothing runs in "), "{out}");
}

#[test]
fn audit_and_stop_make_no_database_where_there_is_none() {
    let folder = Folder::new();

    let (code, out, err) = folder.run(&["dev", "--database-url", ELSEWHERE]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(
        err.contains("--database-url") && err.contains("--data-dir"),
        "{err}"
    );

    let (code, _, err) = folder.run(&["dev", "--postgres", "/nowhere"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("[POSTGRES_WRONG_BINARIES]"), "{err}");
    assert!(!folder.0.exists());

    for (words, status) in [
        (["audit", "verify"].as_slice(), 1),
        (&["audit", "check"], 3),
        (&["stop"], 1),
    ] {
        let (code, out, err) = folder.run(words);

        assert_eq!((code, out.as_str()), (status, ""), "{words:?}");
        assert!(err.contains("[NO_DATABASE]"), "{words:?}: {err}");
        assert!(!folder.0.exists(), "{words:?}");
    }
}
