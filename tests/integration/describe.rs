//! The state of a run, over HTTP.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_description_says_what_a_run_waits_for() {
    let server = Server::start().await;
    let body = json!({"workflowType": "patient", "workflowId": "w", "memo": {"who": "Ann"}});
    server.client.post("", body).await;
    let (_, page) = server.client.get("/w/history?after=4&wait=true").await;
    assert_eq!(
        page["events"][0]["eventType"], "EVENT_TYPE_TIMER_STARTED",
        "{page}"
    );

    let (status, description) = server.client.get("/w").await;
    assert_eq!(status, 200, "{description}");
    assert_eq!(description["status"], "Running");
    assert_eq!(description["workflowType"], "patient");
    assert_eq!(description["memo"]["who"], "Ann");
    assert_eq!(description["historyLength"], 5);
    assert_eq!(description["pendingTimers"].as_array().unwrap().len(), 1);
    assert_eq!(description["pendingActivities"], json!([]));
    server.stop().await;
}
