//! Starting a workflow over HTTP.

use serde_json::json;

use crate::support::{
    Server,
    client::{code, http},
};

#[tokio::test]
async fn a_start_that_waits_answers_with_the_result() {
    let server = Server::start().await;
    let body = json!({"workflowType": "greet", "workflowId": "w", "input": "world"});
    let (status, outcome) = server.client.post("?wait=true", body).await;
    assert_eq!(status, 200, "{outcome}");
    assert_eq!(outcome["result"], "Hello, world!");
    assert_eq!(outcome["status"], "Completed");
    assert_eq!(outcome["started"], true);
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_waits_in_vain_says_that_the_run_is_open() {
    let server = Server::start_without_worker().await;
    let body = json!({"workflowType": "greet", "workflowId": "w", "input": "world"});
    let (status, outcome) = server.client.post("?wait=100ms", body).await;
    assert_eq!(
        (status, outcome["status"].as_str()),
        (202, Some("Running")),
        "{outcome}"
    );
    server.stop().await;
}

#[tokio::test]
async fn values_come_back_byte_for_byte() {
    let server = Server::start().await;
    for value in [
        json!(null),
        json!({"b": 1.5, "a": []}),
        json!("\u{0}é\u{1F600}"),
        json!([1, [2]]),
    ] {
        let (status, outcome) = server
            .client
            .post(
                "?wait=true",
                json!({"workflowType": "echo", "input": value}),
            )
            .await;
        assert_eq!(status, 200, "{outcome}");
        assert_eq!(outcome["result"], value);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_request_starts_nothing() {
    let server = Server::start_without_worker().await;
    let body = json!({"workflowType": "greet", "workflowId": "w", "requestId": "once"});
    let (first_status, first) = server.client.post("", body.clone()).await;
    let (second_status, second) = server.client.post("", body).await;
    assert_eq!(
        (first_status, second_status),
        (201, 201),
        "{first} {second}"
    );
    assert_eq!(first["runId"], second["runId"]);

    let other = server
        .client
        .post("", json!({"workflowType": "greet", "workflowId": "w"}))
        .await;
    assert_eq!(code(&other), (409, "WORKFLOW_ALREADY_STARTED"));
    assert_eq!(other.1["error"]["runId"], first["runId"]);

    let existing = json!({"workflowType": "greet", "workflowId": "w", "workflowIdConflictPolicy": "UseExisting"});
    let (status, existing) = server.client.post("", existing).await;
    assert_eq!(
        (status, &existing["runId"], existing["started"].as_bool()),
        (200, &first["runId"], Some(false))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_reuse_policy_refuses_a_second_run() {
    let server = Server::start().await;
    let body = json!({"workflowType": "echo", "workflowId": "w", "input": 1, "workflowIdReusePolicy": "RejectDuplicate"});
    let (status, _) = server.client.post("?wait=true", body.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(
        code(&server.client.post("", body).await),
        (409, "WORKFLOW_ID_REUSE_REFUSED")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_refused() {
    let server = Server::start_without_worker().await;
    let url = format!("{}/api/v1/namespaces/nowhere/workflows", server.address);
    let response = http()
        .post(url)
        .json(&json!({"workflowType": "greet"}))
        .send()
        .await
        .unwrap();
    let answer = (response.status().as_u16(), response.json().await.unwrap());
    assert_eq!(code(&answer), (404, "NAMESPACE_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn an_input_over_the_limit_costs_nobody_anything() {
    let server = Server::start().await;
    let large = "x".repeat(history::limits::PAYLOAD_BYTES_MAX);
    let (status, answer) = server
        .client
        .post(
            "",
            json!({"workflowType": "echo", "workflowId": "large", "input": large}),
        )
        .await;
    assert!([400, 413].contains(&status), "{status}");
    assert!(!answer["error"]["code"].as_str().unwrap().is_empty());
    let (status, outcome) = server
        .client
        .post("?wait=true", json!({"workflowType": "echo", "input": 1}))
        .await;
    assert_eq!((status, outcome["result"].as_i64()), (200, Some(1)));
    server.stop().await;
}

#[tokio::test]
async fn ids_with_odd_characters_are_addressable() {
    let server = Server::start().await;
    for (id, path) in [
        ("a/b c", "a%2Fb%20c"),
        ("größe?#%", "gr%C3%B6%C3%9Fe%3F%23%25"),
        ("'; DROP TABLE", "%27%3B%20DROP%20TABLE"),
    ] {
        server
            .client
            .post(
                "?wait=true",
                json!({"workflowType": "echo", "workflowId": id, "input": id}),
            )
            .await;
        let outcome = server.client.result(path).await;
        assert_eq!(
            (&outcome["workflowId"], &outcome["result"]),
            (&json!(id), &json!(id))
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wait_for_a_chain_names_the_run_that_is_open() {
    let server = Server::start().await;
    let body = json!({"workflowType": "relay", "workflowId": "w", "input": 2});
    let go_on = async {
        let signal = json!({"signalName": "approve", "input": "go"});
        while server.client.post("/w/signal", signal.clone()).await.0 != 200 {}
    };
    let ((status, waited), ()) = tokio::join!(server.client.post("?wait=5s", body), go_on);
    assert_eq!(status, 202, "{waited}");
    let (_, open) = server.client.get("/w").await;
    assert_ne!(open["runId"], open["firstRunId"]);
    assert_eq!(waited["runId"], open["runId"]);
    server.stop().await;
}
