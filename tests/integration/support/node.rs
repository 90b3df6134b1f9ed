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
                &format!("127.0.0.1:{port}"),
                "--database-url",
                database,
                "--lease",
                lease,
            ])
            .env("LEDGER", ledger)
            .stdout(Stdio::null())
            .stderr(log(ledger))
            .spawn()
            .unwrap();
        Self {
            child,
            client: Client::new(&address),
            address,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
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

    /// Waits until it owns the shards, and returns how long that took.
    pub(crate) async fn owns(&self) -> Duration {
        let since = Instant::now();
        while self.ready().await.is_none_or(|(status, _)| status != 200) {
            assert!(
                since.elapsed() < PATIENCE,
                "{} does not own the shards",
                self.address
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }

    /// Waits until it says who the owner is.
    pub(crate) async fn names_owner(&self, owner: &str) {
        let since = Instant::now();
        while self
            .ready()
            .await
            .is_none_or(|(status, body)| status != 503 || !body.contains(owner))
        {
            assert!(
                since.elapsed() < PATIENCE,
                "{} does not name {owner}",
                self.address
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

/// Removes a ledger and the log beside it.
pub(crate) fn remove(ledger: &Path) {
    std::fs::remove_file(ledger).unwrap();
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
}

/// Returns the path of a ledger that is not there yet.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("coreason-ledger-{}", uuid::Uuid::new_v4()))
}
