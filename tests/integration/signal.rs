//! Signals over HTTP.

use serde_json::json;

use crate::support::{Server, client::code};

/// How many signals the history of `w` has.
async fn signals(server: &Server) -> usize {
    let events = server.client.event_names("w").await;
    let signals = events
        .iter()
        .filter(|name| *name == "WORKFLOW_EXECUTION_SIGNALED");
    signals.count()
}

#[tokio::test]
async fn a_signal_reaches_the_workflow_once() {
    let server = Server::start().await;
    server.client.start("approval", "w").await;
    let body =
        json!({"signalName": "approve", "input": "by Ann", "requestId": "once", "identity": "ann"});
    let (status, answer) = server.client.post("/w/signal", body.clone()).await;
    assert_eq!((status, answer), (200, json!({})));
    assert_eq!(server.client.result("w").await["result"], "by Ann");

    assert_eq!(signals(&server).await, 1);
    // Its repetition finds that it was heard; another one comes too late.
    let (status, answer) = server.client.post("/w/signal", body.clone()).await;
    assert_eq!((status, answer), (200, json!({})));
    let mut other = body;
    other["requestId"] = json!("another");
    assert_eq!(
        code(&server.client.post("/w/signal", other).await),
        (409, "WORKFLOW_CLOSED")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_signal_is_recorded_once() {
    let server = Server::start_without_worker().await;
    server.client.start("approval", "w").await;
    for _ in 0..3 {
        let (status, _) = server
            .client
            .post("/w/signal", json!({"signalName": "s", "requestId": "once"}))
            .await;
        assert_eq!(status, 200);
    }
    assert_eq!(signals(&server).await, 1);
    server.stop().await;
}

/// A member that forwards a request and gets no answer asks again, and the client may have named no request id.
#[tokio::test]
async fn a_signal_that_is_forwarded_again_is_recorded_once() {
    let server = Server::start_without_worker().await;
    server.client.start("approval", "w").await;
    for _ in 0..3 {
        let (status, _) = server
            .client
            .post_forwarded("/w/signal", "fresh", json!({"signalName": "s"}))
            .await;
        assert_eq!(status, 200);
    }
    assert_eq!(signals(&server).await, 1);
    server.stop().await;
}
