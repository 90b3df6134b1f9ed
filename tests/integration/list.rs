//! Lists over HTTP.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let server = Server::start_without_worker().await;
    let mut expected = Vec::new();
    for n in 0..7 {
        server.client.start("greet", &format!("w{n}")).await;
        expected.insert(0, format!("w{n}"));
    }
    let mut found = Vec::new();
    let mut path = "?pageSize=3".to_owned();
    loop {
        let (status, page) = server.client.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let runs = page["workflows"].as_array().unwrap();
        found.extend(
            runs.iter()
                .map(|run| run["workflowId"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        path = format!("?pageSize=3&cursor={cursor}");
    }
    assert_eq!(found, expected);
    server.stop().await;
}

#[tokio::test]
async fn filters_hold_for_type_and_status() {
    let server = Server::start().await;
    server.client.start("patient", "open").await;
    server
        .client
        .post(
            "?wait=true",
            json!({"workflowType": "echo", "workflowId": "closed", "input": 1}),
        )
        .await;
    for (query, expected) in [
        ("?status=Running", vec!["open"]),
        ("?status=Completed", vec!["closed"]),
        ("?type=echo", vec!["closed"]),
        ("?type=echo&status=Running", vec![]),
        ("?workflowId=open", vec!["open"]),
        ("", vec!["closed", "open"]),
    ] {
        let (_, page) = server.client.get(query).await;
        let found: Vec<&str> = page["workflows"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|run| run["workflowId"].as_str())
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    server.stop().await;
}

/// Returns what a list says that keeps a run from going on.
async fn problem(server: &Server, workflow_id: &str) -> Option<String> {
    let (status, page) = server.client.get("").await;
    assert_eq!(status, 200, "{page}");
    let mut rows = page["workflows"].as_array().unwrap().iter();
    let row = rows.find(|row| row["workflowId"] == workflow_id).unwrap();
    Some(row.get("problem")?["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn stuck_runs_are_named_with_what_keeps_them() {
    let server = Server::start().await;
    server.client.start("patient", "well").await;
    for (workflow_type, begins, ends) in [
        ("stumbles", "workflow task failed at ", ": no more chairs"),
        (
            "persistent",
            "activity of event 5 failing since ",
            ", attempt 2 next in 1h: the card was declined",
        ),
    ] {
        server.client.start(workflow_type, workflow_type).await;
        let message = loop {
            if let Some(message) = problem(&server, workflow_type).await {
                break message;
            }
        };
        assert!(
            message.starts_with(begins) && message.contains(ends),
            "{message}"
        );
    }
    assert_eq!(problem(&server, "well").await, None);
    server.client.post("/persistent/terminate", json!({})).await;
    assert_eq!(problem(&server, "persistent").await, None);
    server.stop().await;
}

#[tokio::test]
async fn runs_on_a_queue_that_nobody_polls_are_named() {
    let server = Server::start_without_worker().await;
    server.client.start("greet", "w").await;
    let message = problem(&server, "w").await.unwrap();
    assert!(
        message.starts_with(
            "no worker has polled task queue `default` for workflow tasks in the last "
        ),
        "{message}"
    );
    server.stop().await;
}
