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
