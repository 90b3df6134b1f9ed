//! Engine processes that share a database: one is killed, another time frozen, and the others go on.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Database, Node, remove, scratch};

const WORKFLOWS: usize = 30;
const STEPS: u32 = 10;
async fn start_workflows(node: &Node, prefix: &str) {
    for n in 0..WORKFLOWS {
        let id = format!("{prefix}{n}");
        let body = json!({"workflowType": "ledger", "workflowId": id, "inputs": [id, STEPS], "requestId": id});
        let (status, answer) = node.client.post("", body).await;
        assert_eq!(status, 201, "{answer}");
    }
}

/// Waits for all workflows: each has completed every step.
async fn all_complete(node: &Node, prefix: &str) {
    for n in 0..WORKFLOWS {
        let outcome = node.client.result(&format!("{prefix}{n}")).await;
        assert_eq!(outcome["result"], json!(STEPS), "{outcome}");
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
async fn nothing_is_lost_or_doubled(database: &Database, path: &Path, prefix: &str) {
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
    database.check_audit().await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
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

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_member_is_replaced_at_once_and_nothing_is_lost_or_doubled() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "2s");
    first.owns().await;
    let second = Node::start(&database.url(), &path, "2s");
    second.shares().await;
    start_workflows(&first, "k").await;
    first.signal(Signal::SIGKILL);
    let took = second.owns().await;
    // The goal is a second; a busy machine gets two more.
    assert!(took < Duration::from_secs(3), "the takeover took {took:?}");
    all_complete(&second, "k").await;
    nothing_is_lost_or_doubled(&database, &path, "k").await;
    drop(second);
    remove(&path);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_member_is_replaced_within_its_lease_and_writes_nothing_when_it_wakes() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "2s");
    first.owns().await;
    let second = Node::start(&database.url(), &path, "2s");
    second.shares().await;
    start_workflows(&first, "f").await;
    first.signal(Signal::SIGSTOP);
    let took = second.owns().await;
    // The goal is two seconds; a busy machine gets two more.
    assert!(took < Duration::from_secs(4), "the takeover took {took:?}");
    first.signal(Signal::SIGCONT);
    first.shares().await;
    all_complete(&second, "f").await;
    nothing_is_lost_or_doubled(&database, &path, "f").await;
    drop((first, second));
    remove(&path);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_member_does_not_keep_others_from_taking_over() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "2s");
    first.owns().await;
    let second = Node::start(&database.url(), &path, "2s");
    second.shares().await;
    start_workflows(&first, "s").await;
    let third = Node::start(&database.url(), &path, "2s");
    third.shares().await;
    second.signal(Signal::SIGSTOP);
    first.signal(Signal::SIGKILL);
    let took = third.owns().await;
    assert!(took < Duration::from_secs(8), "the takeover took {took:?}");
    second.signal(Signal::SIGCONT);
    second.shares().await;
    all_complete(&third, "s").await;
    nothing_is_lost_or_doubled(&database, &path, "s").await;
    drop((first, second, third));
    remove(&path);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_a_frozen_member_was_given_are_answered_when_it_is_replaced() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "2s");
    first.owns().await;
    let second = Node::start(&database.url(), &path, "2s");
    second.shares().await;
    first.shares().await;
    second.signal(Signal::SIGSTOP);

    let began = Instant::now();
    let starts = (0..20).map(|n| {
        let client = first.client.clone();
        let body = json!({"workflowType": "tally", "workflowId": format!("z{n}"), "input": 0});
        tokio::spawn(async move { client.post("", body).await })
    });
    for start in starts.collect::<Vec<_>>() {
        let (status, started) = start.await.unwrap();
        assert_eq!(status, 201, "{started}");
    }
    // The lease is 2 s, and a forwarded request may take 30 s.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "the starts took {took:?}");

    second.signal(Signal::SIGCONT);
    drop((first, second));
    std::fs::remove_file(path.with_extension("log")).unwrap();
    database.remove().await;
}
