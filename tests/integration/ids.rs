//! A workflow is found by its id, whatever that is, from everywhere.

use reqwest::Url;
use serde_json::json;

use crate::{
    command_line::workflow,
    support::{Server, client::code},
};

const IDS: [&str; 9] = [
    "...",
    "a/b",
    "../..",
    "100%",
    "%2e%2e",
    " ",
    "a+b&c=d?e#f;\\\"",
    "Zürich 🐘",
    "-rf",
];

/// Returns the id as a segment of a path.
fn segment(id: &str) -> String {
    let mut url = Url::parse("http://h").unwrap();
    url.path_segments_mut().unwrap().push(id);
    url.path().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_found_by_any_id_it_was_started_with() {
    let server = Server::start().await;
    for id in IDS {
        server.client.start("approval", id).await;
        let at = segment(id);
        let (_, run) = server.client.get(&at).await;
        assert_eq!(run["workflowId"], id);
        let (code, out, err) = workflow(&server, &["describe", "--json", "--", id]).await;
        assert_eq!(code, 0, "{id}: {err}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&out).unwrap()["workflowId"],
            id
        );
        let words = ["signal", "--name", "approve", "--input", "7", "--", id];
        let (code, _, err) = workflow(&server, &words).await;
        assert_eq!(code, 0, "{id}: {err}");
        let (_, events) = server.client.get(&format!("{at}/history?after=1")).await;
        assert_eq!(events["workflowId"], id);

        // Its signal is no text: it waits for another one, and is ended.
        let (status, _) = server
            .client
            .post(&format!("{at}/terminate"), json!({}))
            .await;
        assert!([200, 409].contains(&status), "{id}: {status}");
        let (status, _) = server.client.get(&format!("{at}/result?wait=true")).await;
        assert_eq!(status, 200, "{id}");
        let query = url_query(id);
        let (_, list) = server.client.get(&format!("?{query}")).await;
        assert_eq!(list["workflows"][0]["workflowId"], id, "{list}");
    }
    server.stop().await;
}

fn url_query(id: &str) -> String {
    let mut url = Url::parse("http://h").unwrap();
    url.query_pairs_mut().append_pair("workflowId", id);
    url.query().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_refuses_what_the_server_refuses() {
    let server = Server::start_without_worker().await;
    let long = "x".repeat(1001);
    for id in ["", ".", "..", "a\nb", &long] {
        let started = server
            .client
            .post("", json!({"workflowType": "approval", "workflowId": id}))
            .await;
        assert_eq!(code(&started), (400, "INVALID_ID"), "{id:?}");
        for verb in [
            &["start", "--type", "approval", "--id", id] as &[&str],
            &["describe", id],
            &["show", id],
            &["show", "--follow", id],
            &["result", id],
            &["signal", "--name", "s", id],
            &["cancel", id],
            &["terminate", id],
            &["--namespace", id, "list"],
        ] {
            let (code, out, err) = workflow(&server, verb).await;
            assert_eq!((code, out.as_str()), (2, ""), "{verb:?}");
            assert!(err.contains("[INVALID_ID]; "), "{verb:?}: {err}");
        }
    }
    server.stop().await;
}
