//! How long closed runs are kept, and the deletion of one, through the doors.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    command_line::{asks, workflow},
    support::{Server, client::code},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_keeps_closed_runs_for_as_long_as_it_is_told() {
    let server = Server::start().await;
    let client = &server.client;
    let ask = async |body: Value| client.ask(Method::POST, "/retention", body).await;
    let shown = client.ask(Method::GET, "/retention", json!({})).await;
    assert_eq!(shown, (200, json!({"retention": null})));
    for (told, kept) in [("30d", "30d"), ("1d2h3m", "93780s"), ("90m", "1h30m")] {
        let changed = ask(json!({"retention": told})).await;
        assert_eq!(changed, (200, json!({"retention": kept})));
        let shown = client.ask(Method::GET, "/retention", json!({})).await;
        assert_eq!(shown, (200, json!({"retention": kept})));
    }
    let forever = ask(json!({"retention": null})).await;
    assert_eq!(forever, (200, json!({"retention": null})));
    for (body, refused) in [
        (json!({"retention": "1s"}), (400, "INVALID_ARGUMENT")),
        (json!({"retention": "long"}), (400, "INVALID_BODY")),
        (json!({}), (400, "INVALID_BODY")),
    ] {
        assert_eq!(code(&ask(body).await), refused);
    }
    let retention = async |words: &[&str]| asks("retention", &server, words).await;
    let said = |text: &str| (0, text.to_owned(), String::new());
    assert_eq!(
        retention(&["set", "7d"]).await,
        said("closed runs are kept for 7d\n")
    );
    assert_eq!(
        retention(&["set", "--forever"]).await,
        said("closed runs are kept for ever\n")
    );
    assert_eq!(
        retention(&["show"]).await,
        said("closed runs are kept for ever\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_is_not_there_any_more() {
    let server = Server::start().await;
    let client = &server.client;
    for id in ["open", "other"] {
        let body = json!({"workflowType": "patient", "workflowId": id});
        assert_eq!(client.post("", body).await.0, 201);
    }
    let deleted = client
        .ask(Method::DELETE, "/workflows/open", json!({}))
        .await;
    assert_eq!(deleted, (200, json!({})));
    let again = client
        .ask(Method::DELETE, "/workflows/open", json!({}))
        .await;
    assert_eq!(code(&again), (404, "WORKFLOW_NOT_FOUND"));
    let (_, page) = client.list(&[]).await;
    assert_eq!(crate::support::client::ids(&page), ["other"]);
    let said = workflow(&server, &["delete", "other"]).await;
    assert_eq!(said, (0, "deleted other\n".to_owned(), String::new()));
}
