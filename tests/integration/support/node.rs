//! An engine as a process of its own, to be killed or frozen.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Client, client::http};

/// Longer than any step here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// An engine process.
pub(crate) struct Node {
    child: Child,
    pub(crate) address: String,
    pub(crate) client: Client,
}

impl Node {
    /// Starts it on a free port. What it logs is beside its ledger.
    pub(crate) fn start(database: &str, ledger: &Path, lease: &str) -> Self {
        Self::start_program("", database, ledger, lease)
    }

    /// Starts one of the programs of `tests/node/programs.rs` on a free port.
    pub(crate) fn start_program(program: &str, database: &str, ledger: &Path, lease: &str) -> Self {
        Self::launch(program, database, ledger, &["--lease", lease], "127.0.0.1")
    }

    /// Starts it with some options, on an address of this host.
    pub(crate) fn start_with(database: &str, ledger: &Path, options: &[&str], on: &str) -> Self {
        Self::launch("", database, ledger, options, on)
    }

    /// Starts it with what it logs going somewhere else.
    pub(crate) fn start_logging_to(database: &str, ledger: &Path, log: impl Into<Stdio>) -> Self {
        Self::spawn("", database, ledger, &[], "127.0.0.1", log.into())
    }

    fn launch(program: &str, database: &str, ledger: &Path, options: &[&str], on: &str) -> Self {
        Self::spawn(program, database, ledger, options, on, log(ledger).into())
    }

    fn spawn(
        program: &str,
        database: &str,
        ledger: &Path,
        options: &[&str],
        on: &str,
        log: Stdio,
    ) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("http://127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_node"))
            .args([
                "dev",
                "--listen",
                &format!("{on}:{port}"),
                "--database-url",
                database,
            ])
            .args(options)
            .env("LEDGER", ledger)
            .env("PROGRAM", program)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            client: Client::new(&address),
            address,
        }
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Begins to look anew at how much memory it has resident.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Returns the most memory that it has had resident since then, or ever, in bytes.
    pub(crate) fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: usize = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024
    }

    /// Returns the status of `/readyz`, or nothing when nobody answers.
    pub(crate) async fn ready(&self) -> Option<(u16, String)> {
        let response = http()
            .get(format!("{}/readyz", self.address))
            .timeout(Duration::from_secs(1))
            .send()
            .await
            .ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// Returns how many shards it serves; nothing when it is no member.
    pub(crate) async fn shards(&self) -> Option<u64> {
        let (_, body) = self.ready().await.filter(|(status, _)| *status == 200)?;
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        body["shards"].as_u64()
    }

    /// Waits until it owns all shards, and returns how long that took.
    pub(crate) async fn owns(&self) -> Duration {
        self.serves(1024..=1024).await
    }

    /// Waits until it has some of the shards.
    pub(crate) async fn shares(&self) {
        self.serves(1..=1023).await;
    }

    async fn serves(&self, wanted: std::ops::RangeInclusive<u64>) -> Duration {
        let since = Instant::now();
        while !self
            .shards()
            .await
            .is_some_and(|shards| wanted.contains(&shards))
        {
            assert!(
                since.elapsed() < PATIENCE,
                "{} does not serve {wanted:?} shards",
                self.address
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been killed by the test itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens the file that the processes of a ledger log to.
fn log(ledger: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(ledger.with_extension("log"))
        .unwrap()
}

/// Removes a ledger, if anything was written to it, and the log beside it.
pub(crate) fn remove(ledger: &Path) {
    drop(std::fs::remove_file(ledger));
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
}

/// Returns the path of a ledger that is not there yet.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("coreason-ledger-{}", uuid::Uuid::new_v4()))
}
