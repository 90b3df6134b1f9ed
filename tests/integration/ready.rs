//! What says ready is ready, and what is not says so.

use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Database, Node, PATIENCE, scratch};

/// Waits until `/readyz` answers with this status and this in its body.
async fn says(node: &Node, status: u16, word: &str) {
    let since = Instant::now();
    loop {
        let ready = node.ready().await;
        if ready
            .as_ref()
            .is_some_and(|(s, body)| *s == status && body.contains(word))
        {
            return;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{ready:?} is not {status} {word}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_stops_says_so_before_it_drains() {
    let (database, ledger) = (Database::create().await, scratch());
    let gate = ledger.with_extension("gate");
    let mut node = Node::start(&database.url(), &ledger, "10s");
    node.owns().await;
    let body = json!({"workflowType": "hold", "workflowId": "held", "input": gate});
    let (status, started) = node.client.post("", body).await;
    assert_eq!(status, 201, "{started}");
    let is_started = |describe: &serde_json::Value| describe["pendingActivities"][0].is_object();
    while !is_started(&node.client.get("/held").await.1) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    node.signal(Signal::SIGTERM);
    says(&node, 503, "STOPPING").await;

    // It works on meanwhile.
    std::fs::write(&gate, "").unwrap();
    assert!(node.ended().success());
    let node = Node::start(&database.url(), &ledger, "10s");
    node.owns().await;
    let events = node.client.event_names("held").await;
    let failed = events
        .iter()
        .any(|name| name.contains("FAILED") || name.contains("TIMED_OUT"));
    assert!(!failed, "the activity ended in the drain: {events:?}");
    drop(node);
    std::fs::remove_file(gate).unwrap();
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_listen_on_every_address_find_one_that_works() {
    let (database, ledger) = (Database::create().await, scratch());
    let nodes = [(), ()].map(|()| Node::start_with(&database.url(), &ledger, &[], "0.0.0.0"));
    for node in &nodes {
        node.shares().await;
    }

    for n in 0..20 {
        let id = format!("w{n}");
        let client = &nodes[n % 2].client;
        client.start("tally", &id).await;
        let (status, described) = nodes[(n + 1) % 2].client.get(&format!("/{id}")).await;

        assert_eq!(status, 200, "{described}");
    }
    drop(nodes);
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_whose_address_does_not_lead_to_it_is_not_ready() {
    let (database, ledger) = (Database::create().await, scratch());
    let nobody = ["--advertise", "http://127.0.0.1:1"];
    let node = Node::start_with(&database.url(), &ledger, &nobody, "127.0.0.1");
    // Alone it needs no address.
    node.owns().await;

    let other = Node::start(&database.url(), &ledger, "10s");
    says(&node, 503, "ADDRESS_NOT_REACHED").await;
    says(&other, 200, "member").await;
    drop(node);
    let same = ["--advertise", other.address.as_str()];
    let twin = Node::start_with(&database.url(), &ledger, &same, "127.0.0.1");
    says(&twin, 503, "ADDRESS_NOT_REACHED").await;
    says(&other, 503, "another process gives the same").await;

    drop((other, twin));
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn address_that_leads_nowhere_is_refused_at_the_start() {
    let (database, ledger) = (Database::create().await, scratch());
    let everywhere = ["--advertise", "http://0.0.0.0:8000"];
    let mut node = Node::start_with(&database.url(), &ledger, &everywhere, "127.0.0.1");

    let ended = node.ended();

    assert_eq!(ended.code(), Some(1));
    let log = std::fs::read_to_string(ledger.with_extension("log")).unwrap();
    assert!(log.contains("[ADVERTISE_INVALID]"), "{log}");
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_asked_to_stop_goes_on_as_ever_for_a_while_if_told() {
    let (database, ledger) = (Database::create().await, scratch());
    let delay = ["--shutdown-delay", "3s"];
    let mut node = Node::start_with(&database.url(), &ledger, &delay, "127.0.0.1");
    node.owns().await;

    node.signal(Signal::SIGTERM);
    says(&node, 503, "STOPPING").await;
    // A balancer that has not looked yet sends it work.
    let body = json!({"workflowType": "tally", "workflowId": "late", "input": 0});
    let (status, started) = node.client.post("", body).await;
    assert_eq!(status, 201, "{started}");
    let result = node.client.result("late").await;

    assert_eq!(result["status"], "Completed", "{result}");
    assert!(node.ended().success());
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_can_t_commit_is_not_ready() {
    let (database, ledger) = (Database::create().await, scratch());
    let node = Node::start(&database.url(), &ledger, "6s");
    node.owns().await;
    let other = database.connect().await;
    // What is to be committed is refused from time to time, for now.
    other
        .batch_execute("BEGIN; LOCK TABLE history")
        .await
        .unwrap();

    let body = json!({"workflowType": "tally", "input": 0});
    let (status, refused) = node.client.post("", body).await;
    assert_eq!(status, 503, "{refused}");
    says(&node, 503, "nothing was committed").await;

    // Nobody sends work to a process that is not ready: it finds out by itself.
    other.batch_execute("COMMIT").await.unwrap();
    says(&node, 200, "member").await;
    drop(node);
    std::fs::remove_file(ledger.with_extension("log")).unwrap();
    database.remove().await;
}
