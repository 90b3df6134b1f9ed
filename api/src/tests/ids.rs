//! Every verb takes an id, or refuses it, as every other one does.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{app::App, router::router};

/// Ids that are legal, and how a path has them.
const GOOD: [(&str, &str); 15] = [
    ("a", "a"),
    ("...", "..."),
    (".a", ".a"),
    ("-", "-"),
    ("a/b", "a%2Fb"),
    ("/", "%2F"),
    ("../..", "..%2F.."),
    ("100%", "100%25"),
    ("%2e%2e", "%252e%252e"),
    ("a b", "a%20b"),
    (" ", "%20"),
    ("a+b&c=d?e#f", "a+b&c=d%3Fe%23f"),
    ("a\\b\"c", "a%5Cb%22c"),
    ("Zürich 🐘", "Z%C3%BCrich%20%F0%9F%90%98"),
    ("signal", "signal"),
];

/// Ids that are not, and how a path has them.
const BAD: [(&str, &str); 7] = [
    ("", ""),
    (".", "."),
    ("..", ".."),
    ("..", "%2E%2e"),
    ("a\nb", "a%0Ab"),
    ("\0", "%00"),
    ("\u{85}", "%C2%85"),
];

const WORKFLOWS: &str = "/api/v1/namespaces/default/workflows";

/// Returns a request of each verb for the id.
fn verbs(id: &str, in_path: &str) -> Vec<(&'static str, Request<Body>)> {
    let get = |rest: &str| request(Method::GET, rest, None);
    let post = |rest: &str, body: Value| request(Method::POST, rest, Some(body));
    let of = |verb: &str| format!("/{in_path}{verb}");
    let in_query: String = in_path
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    vec![
        (
            "start",
            post("", json!({"workflowType": "t", "workflowId": id})),
        ),
        ("list", get(&format!("?workflowId={in_query}"))),
        ("describe", get(&of(""))),
        ("history", get(&of("/history"))),
        ("result", get(&of("/result?wait=1s"))),
        ("signal", post(&of("/signal"), json!({"signalName": "s"}))),
        ("cancel", post(&of("/cancel"), json!({}))),
        ("terminate", post(&of("/terminate"), json!({}))),
    ]
}

fn request(method: Method, rest: &str, body: Option<Value>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("{WORKFLOWS}{rest}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .unwrap()
}

/// Returns what an engine that never starts answers: `STARTING` once everything else is in order.
async fn refusal(router: &Router, request: Request<Body>) -> Value {
    let response = router.clone().oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["error"].take()
}

#[tokio::test]
async fn a_legal_id_is_taken_by_every_verb() {
    let router = router(App::default());
    let long = "é".repeat(500);
    let long_in_path = "%C3%A9".repeat(500);
    for (id, in_path) in GOOD
        .into_iter()
        .chain([(long.as_str(), long_in_path.as_str())])
    {
        for (verb, request) in verbs(id, in_path) {
            let refusal = refusal(&router, request).await;
            assert_eq!(refusal["code"], "STARTING", "{verb} {id:?}: {refusal}");
        }
    }
}

#[tokio::test]
async fn an_id_that_is_not_legal_is_refused_by_every_verb_with_advice() {
    let router = router(App::default());
    let long = "x".repeat(1001);
    for (id, in_path) in BAD.into_iter().chain([(long.as_str(), long.as_str())]) {
        for (verb, request) in verbs(id, in_path) {
            let refusal = refusal(&router, request).await;
            assert_eq!(refusal["code"], "INVALID_ID", "{verb} {id:?}: {refusal}");
            let (message, advice) = (refusal["message"].as_str(), refusal["advice"].as_str());
            assert!(
                message.is_some_and(|message| message.starts_with("WorkflowId ")),
                "{refusal}"
            );
            assert!(advice.is_some(), "{refusal}");
        }
    }
}

#[tokio::test]
async fn other_names_are_refused_alike() {
    let router = router(App::default());
    for (name, in_path) in BAD {
        let start = json!({"workflowType": name, "workflowId": "w"});
        let queue = json!({"workflowType": "t", "workflowId": "w", "taskQueue": name});
        let asked = json!({"workflowType": "t", "workflowId": "w", "requestId": name});
        let signal = json!({"signalName": name});
        let namespace = Request::builder()
            .uri(format!("/api/v1/namespaces/{in_path}/workflows/w"))
            .body(Body::empty())
            .unwrap();
        for request in [
            request(Method::POST, "", Some(start)),
            request(Method::POST, "", Some(queue)),
            request(Method::POST, "", Some(asked)),
            request(Method::POST, "/w/signal", Some(signal)),
            namespace,
        ] {
            let asked = format!("{request:?}");
            let refusal = refusal(&router, request).await;
            assert_eq!(refusal["code"], "INVALID_ID", "{name:?}: {asked}");
        }
    }
}
