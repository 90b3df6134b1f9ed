//! Two engine processes on one database: the owner is killed, another time frozen, and the other goes on.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::support::{Client, Database};

const WORKFLOWS: usize = 30;
const STEPS: u32 = 10;
/// Longer than any step here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

/// An engine process.
struct Node {
    child: Child,
    address: String,
    client: Client,
}

impl Node {
    fn start(database: &str, ledger: &Path) -> Self {
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
                "2s",
            ])
            .env("LEDGER", ledger)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            client: Client::new(&address),
            address,
        }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Returns the status of `/readyz`, or nothing when nobody answers.
    async fn ready(&self) -> Option<(u16, String)> {
        let response = reqwest::Client::new()
            .get(format!("{}/readyz", self.address))
            .timeout(Duration::from_secs(1))
            .send()
            .await
            .ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// Waits until it owns the shards, and returns how long that took.
    async fn owns(&self) -> Duration {
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
    async fn names_owner(&self, owner: &str) {
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

    async fn start_workflows(&self, prefix: &str) {
        for n in 0..WORKFLOWS {
            let id = format!("{prefix}{n}");
            let body = json!({"workflowType": "ledger", "workflowId": id, "inputs": [id, STEPS], "requestId": id});
            let (status, answer) = self.client.post("", body).await;
            assert_eq!(status, 201, "{answer}");
        }
    }

    /// Waits for all workflows: each has completed every step.
    async fn all_complete(&self, prefix: &str) {
        for n in 0..WORKFLOWS {
            let outcome = self.client.result(&format!("{prefix}{n}")).await;
            assert_eq!(outcome["result"], json!(STEPS), "{outcome}");
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

/// How often each line stands in the ledger.
fn ledger(path: &Path) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// Every step was done at least once; what must not be done twice was not; every completion is recorded once; the chains hold.
async fn nothing_is_lost_or_doubled(database: &str, path: &Path, prefix: &str) {
    let done = ledger(path);
    for n in 0..WORKFLOWS {
        let id = format!("{prefix}{n}");
        for step in 0..STEPS {
            assert!(
                done.contains_key(&format!("step {id} {step}")),
                "step {step} of {id} was never done"
            );
        }
        assert!(
            done.get(&format!("once {id}"))
                .is_none_or(|times| *times == 1),
            "what {id} must do once was done twice"
        );
    }
    let pool = engine::audit::connect(database).await.unwrap();
    let report = engine::audit::verify(&pool, engine::audit::Scope::Everything)
        .await
        .unwrap();
    assert!(report.is_sound(), "{report:?}");
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let doubled = "SELECT count(*) FROM (
            SELECT run_id, attributes ->> 'scheduled_event_id' AS activity FROM history_event
            WHERE event_type IN ('ActivityTaskCompleted', 'ActivityTaskFailed', 'ActivityTaskTimedOut')
            GROUP BY 1, 2 HAVING count(*) > 1
        ) AS doubled";
    assert_eq!(
        client
            .query_one(doubled, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0,
        "an activity ended twice"
    );
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("coreason-ledger-{}", uuid::Uuid::new_v4()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_is_replaced_at_once_and_nothing_is_lost_or_doubled() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path);
    first.owns().await;
    let second = Node::start(&database.url(), &path);
    second.names_owner(&first.address).await;
    first.start_workflows("k").await;
    first.signal(Signal::SIGKILL);
    let took = second.owns().await;
    // The goal is a second; a busy machine gets two more.
    assert!(took < Duration::from_secs(3), "the takeover took {took:?}");
    second.all_complete("k").await;
    nothing_is_lost_or_doubled(&database.url(), &path, "k").await;
    drop(second);
    std::fs::remove_file(&path).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_owner_is_replaced_within_its_lease_and_writes_nothing_when_it_wakes() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path);
    first.owns().await;
    let second = Node::start(&database.url(), &path);
    second.names_owner(&first.address).await;
    first.start_workflows("f").await;
    first.signal(Signal::SIGSTOP);
    let took = second.owns().await;
    // Two seconds of lease, a look at it each half second, and time for a busy machine.
    assert!(took < Duration::from_secs(6), "the takeover took {took:?}");
    first.signal(Signal::SIGCONT);
    first.names_owner(&second.address).await;
    second.all_complete("f").await;
    nothing_is_lost_or_doubled(&database.url(), &path, "f").await;
    drop((first, second));
    std::fs::remove_file(&path).unwrap();
    database.remove().await;
}
