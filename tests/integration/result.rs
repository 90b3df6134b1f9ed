//! The end of a workflow, over HTTP.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, client::code};

#[tokio::test]
async fn a_failed_workflow_says_how() {
    let server = Server::start().await;
    let run_id = server.client.start("refusal", "w").await;
    let outcome = server.client.result("w").await;
    assert_eq!(outcome["status"], "Failed");
    assert_eq!(outcome["runId"], json!(run_id));
    assert_eq!(outcome["failure"]["message"], "the card was declined");
    assert_eq!(outcome["failure"]["type"], "CardDeclined");
    assert_eq!(outcome["failure"]["nonRetryable"], true);
    server.stop().await;
}

#[tokio::test]
async fn an_open_run_has_no_result_yet() {
    let server = Server::start_without_worker().await;
    server.client.start("greet", "w").await;
    for path in ["/w/result", "/w/result?wait=50ms"] {
        let (status, outcome) = server.client.get(path).await;
        assert_eq!(
            (status, outcome["status"].as_str()),
            (202, Some("Running")),
            "{outcome}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let server = Server::start_without_worker().await;
    let run_id = uuid::Uuid::now_v7();
    server.client.start("greet", "w").await;
    for path in [
        "/nobody",
        "/nobody/result",
        "/nobody/history",
        &format!("/w?runId={run_id}"),
    ] {
        assert_eq!(
            code(&server.client.get(path).await),
            (404, "WORKFLOW_NOT_FOUND"),
            "{path}"
        );
    }
    let signal = server
        .client
        .post("/nobody/signal", json!({"signalName": "s"}))
        .await;
    assert_eq!(code(&signal), (404, "WORKFLOW_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn a_closed_run_has_its_result_without_waiting() {
    let server = Server::start().await;
    let body = json!({"workflowType": "echo", "workflowId": "w", "input": 7});
    server.client.post("?wait=true", body).await;
    let (status, outcome) = server.client.get("/w/result").await;
    assert_eq!(
        (status, outcome["result"].as_i64()),
        (200, Some(7)),
        "{outcome}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_chain_is_waited_for_once_and_its_last_run_is_named() {
    let server = Server::start().await;
    let body = json!({"workflowType": "relay", "workflowId": "w", "input": 3});
    let first = server.client.post("", body).await.1["runId"].clone();
    for message in ["a", "b"] {
        let signal = json!({"signalName": "approve", "input": message});
        server.client.post("/w/signal", signal).await;
    }
    let begun = Instant::now();
    let path = format!("/w/result?wait=5s&runId={}", first.as_str().unwrap());
    let (status, outcome) = server.client.get(&path).await;
    let waited = begun.elapsed();
    assert_eq!((status, outcome["status"].as_str()), (202, Some("Running")));
    assert!(waited < Duration::from_secs(9), "{waited:?}");
    let current = server.client.get("/w").await.1["runId"].clone();
    assert_eq!(outcome["runId"], current);
    assert_ne!(outcome["runId"], first);

    let signal = json!({"signalName": "approve", "input": "c"});
    server.client.post("/w/signal", signal).await;
    let path = path.replace("wait=5s", "wait=true");
    let (status, outcome) = server.client.get(&path).await;
    assert_eq!((status, outcome["result"].as_str()), (200, Some("c")));
    assert_eq!(outcome["runId"], current);
    server.stop().await;
}
