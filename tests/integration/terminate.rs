//! Termination over HTTP.

use serde_json::json;

use crate::support::{Server, client::code};

#[tokio::test]
async fn a_terminated_workflow_ends_without_being_asked() {
    let server = Server::start_without_worker().await;
    server.client.start("patient", "w").await;
    let (status, _) = server
        .client
        .post(
            "/w/terminate",
            json!({"reason": "wrong order", "details": {"by": "Ann"}}),
        )
        .await;
    assert_eq!(status, 200);
    let outcome = server.client.result("w").await;
    assert_eq!(
        (&outcome["status"], &outcome["failure"]["message"]),
        (&json!("Terminated"), &json!("wrong order"))
    );
    assert_eq!(outcome["failure"]["details"]["by"], "Ann");
    assert_eq!(
        code(&server.client.post("/w/terminate", json!({})).await),
        (409, "WORKFLOW_CLOSED")
    );
    server.stop().await;
}
