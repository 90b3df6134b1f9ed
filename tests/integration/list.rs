//! Lists over HTTP.

use serde_json::json;

use crate::support::{Server, client::ids};

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
        found.extend(ids(&page).into_iter().map(str::to_owned));
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
        ("?workflowId=o%27pen%5C", vec![]),
        ("", vec!["closed", "open"]),
    ] {
        let (_, page) = server.client.get(query).await;
        assert_eq!(ids(&page), expected, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_run_is_listed_with_what_is_known_of_it() {
    let server = Server::start().await;
    let body = json!({"workflowType": "greet", "workflowId": "later", "startDelay": "1h", "memo": {"who": "me"}});
    server.client.post("", body).await;
    let body = json!({"workflowType": "parent", "workflowId": "top", "input": "child"});
    server.client.post("", body).await;
    let body = json!({"workflowType": "echo", "workflowId": "closed", "input": 1});
    server.client.post("?wait=true", body).await;
    while server.client.get("/child").await.0 != 200 {}
    let of = async |id: &str| {
        let (_, page) = server.client.list(&[("workflowId", id)]).await;
        page["workflows"][0].clone()
    };

    let later = of("later").await;
    assert!(later["executionAt"].as_str() > later["startedAt"].as_str());
    assert_eq!(later["memo"], json!({"who": "me"}));

    let (top, child) = (of("top").await, of("child").await);
    let execution = json!({"workflowId": "top", "runId": top["runId"]});
    assert_eq!((&child["parent"], &child["root"]), (&execution, &execution));
    for absent in [
        "executionAt",
        "closedAt",
        "parent",
        "root",
        "memo",
        "searchAttributes",
        "historyBytes",
    ] {
        assert!(top.get(absent).is_none(), "{absent} of {top}");
    }

    let closed = of("closed").await;
    let (_, described) = server.client.get("/closed").await;
    assert_eq!(closed["historyLength"], described["historyLength"]);
    assert_eq!(closed["historyBytes"], described["historyBytes"]);
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
