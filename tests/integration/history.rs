//! Histories over HTTP.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_history_reads_as_temporal_exports_it() {
    let server = Server::start().await;
    server
        .client
        .post(
            "?wait=true",
            json!({"workflowType": "greet", "workflowId": "w", "input": "world"}),
        )
        .await;
    assert_eq!(
        server.client.event_names("w").await,
        [
            "WORKFLOW_EXECUTION_STARTED",
            "WORKFLOW_TASK_SCHEDULED",
            "WORKFLOW_TASK_STARTED",
            "WORKFLOW_TASK_COMPLETED",
            "ACTIVITY_TASK_SCHEDULED",
            "ACTIVITY_TASK_STARTED",
            "ACTIVITY_TASK_COMPLETED",
            "WORKFLOW_TASK_SCHEDULED",
            "WORKFLOW_TASK_STARTED",
            "WORKFLOW_TASK_COMPLETED",
            "WORKFLOW_EXECUTION_COMPLETED",
        ]
    );
    let (_, page) = server.client.get("/w/history?pageSize=4").await;
    assert_eq!(
        (page["lastEventId"].as_i64(), page["closed"].as_bool()),
        (Some(4), Some(false))
    );
    assert_eq!(
        page["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"],
        "greet"
    );
    let (_, rest) = server.client.get("/w/history?after=4").await;
    assert_eq!(
        (rest["lastEventId"].as_i64(), rest["closed"].as_bool()),
        (Some(11), Some(true))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_waits_sees_new_events_as_they_come() {
    let server = Server::start().await;
    server.client.start("approval", "w").await;
    let (_, first) = server.client.get("/w/history?after=3&wait=true").await;
    let seen = first["lastEventId"].as_i64().unwrap();
    let path = format!("/w/history?after={seen}&wait=true");
    let waiting = tokio::spawn({
        let client = server.client.clone();
        async move { client.get(&path).await }
    });
    server
        .client
        .post(
            "/w/signal",
            json!({"signalName": "approve", "input": "yes"}),
        )
        .await;
    let (status, page) = waiting.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        page["events"][0]["eventType"], "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED",
        "{page}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_waits_in_vain_gets_an_empty_page() {
    let server = Server::start_without_worker().await;
    server.client.start("patient", "w").await;
    let (_, all) = server.client.get("/w/history").await;
    let last = all["lastEventId"].as_i64().unwrap();
    let (status, page) = server
        .client
        .get(&format!("/w/history?after={last}&wait=50ms"))
        .await;
    assert_eq!(
        (status, &page["events"], page["lastEventId"].as_i64()),
        (200, &json!([]), Some(last))
    );
    server.stop().await;
}

#[tokio::test]
async fn nothing_follows_the_last_event_that_could_be() {
    let server = Server::start().await;
    server.client.start("patient", "w").await;
    for after in [i64::MAX, i64::MAX - 1] {
        let (status, page) = server
            .client
            .get(&format!("/w/history?after={after}"))
            .await;
        assert_eq!(status, 200, "{page}");
        assert_eq!(page["events"], json!([]));
    }
    server.stop().await;
}
