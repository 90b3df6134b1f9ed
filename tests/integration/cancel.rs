//! Cancellation over HTTP.

use serde_json::json;

use crate::support::{Server, client::code};

#[tokio::test]
async fn a_workflow_that_sleeps_is_canceled() {
    let server = Server::start().await;
    server.client.start("patient", "w").await;
    let (status, _) = server
        .client
        .post(
            "/w/cancel",
            json!({"reason": "changed my mind", "requestId": "once"}),
        )
        .await;
    assert_eq!(status, 200);
    let canceled = server.client.result("w").await;
    assert_eq!(canceled["status"], "Canceled");
    assert_eq!(canceled["failure"]["message"], "changed my mind");
    // Nor is it forgotten by who reads the run again.
    let server = server.restart().await;
    assert_eq!(server.client.result("w").await, canceled);

    server.client.start("patient", "silent").await;
    server.client.post("/silent/cancel", json!({})).await;
    let canceled = server.client.result("silent").await;
    assert_eq!(canceled["failure"]["message"], "canceled");
    server.stop().await;
}

#[tokio::test]
async fn a_run_is_asked_to_cancel_once() {
    let server = Server::start_without_worker().await;
    server.client.start("patient", "w").await;
    for _ in 0..2 {
        let (status, _) = server
            .client
            .post("/w/cancel", json!({"requestId": "once"}))
            .await;
        assert_eq!(status, 200);
    }
    let other = server.client.post("/w/cancel", json!({})).await;
    assert_eq!(code(&other), (409, "CANCELLATION_ALREADY_REQUESTED"));
    let (_, description) = server.client.get("/w").await;
    assert_eq!(description["cancelRequested"], true);
    server.stop().await;
}
