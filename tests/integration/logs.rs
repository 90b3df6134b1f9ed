//! What becomes of the engine when nobody reads what it logs.

use std::io::{PipeWriter, Write as _, pipe};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::signal::Signal,
};
use serde_json::json;

use crate::support::{Database, Node, scratch};

/// Works on one workflow, and stops when it is asked to.
async fn works_and_stops(log: PipeWriter) {
    let (database, ledger) = (Database::create().await, scratch());
    let mut node = Node::start_logging_to(&database.url(), &ledger, log);
    node.owns().await;

    let body = json!({"workflowType": "tally", "workflowId": "w", "input": 0});
    let (status, started) = node.client.post("", body).await;
    assert_eq!(status, 201, "{started}");
    assert_eq!(node.client.result("w").await["result"], 0);

    node.signal(Signal::SIGTERM);
    assert!(node.ended().success());
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_of_the_log_that_goes_away_takes_nothing_with_it() {
    let (reader, log) = pipe().unwrap();
    drop(reader);
    works_and_stops(log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_of_the_log_that_stands_still_holds_nothing_up() {
    let (_reader, mut log) = pipe().unwrap();
    let bytes = fcntl(&log, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    log.write_all(&vec![b'.'; usize::try_from(bytes).unwrap()])
        .unwrap();
    works_and_stops(log).await;
}
