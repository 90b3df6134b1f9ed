//! Workflow code that loops or blocks, in a worker with other runs.

use std::{
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use coreason::prelude::*;
use serde_json::json;

use crate::support::Server;

static OPEN: Mutex<bool> = Mutex::new(false);
static OPENED: Condvar = Condvar::new();

#[workflow]
async fn blocks(_: Workflow) -> Result<String> {
    let open = OPEN.lock().unwrap();
    drop(OPENED.wait_while(open, |open| !*open).unwrap());
    Ok("came back".to_owned())
}

#[workflow]
async fn healthy(wf: Workflow) -> Result<String> {
    wf.sleep(Duration::from_millis(10)).await?;
    Ok("well".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_block_keep_a_healthy_one_waiting_for_a_moment_and_end_when_they_are_mended() {
    let mut server = Server::start_without_worker().await;
    server.run(Worker::new("default").workflow(blocks).workflow(healthy));
    for n in 0..6 {
        server.client.start("blocks", &format!("b{n}")).await;
    }
    let since = Instant::now();
    for n in 0..3 {
        server.client.start("healthy", &format!("h{n}")).await;
        assert_eq!(
            server.client.result(&format!("h{n}")).await["result"],
            "well"
        );
    }
    let waited = since.elapsed();
    assert!(
        waited < 4 * worker::POLL_MAX,
        "the healthy ones waited {waited:?}"
    );

    *OPEN.lock().unwrap() = true;
    OPENED.notify_all();
    for n in 0..6 {
        let outcome = loop {
            let outcome = server.client.get(&format!("/b{n}/result?wait=true")).await;
            if outcome.0 == 200 {
                break outcome.1;
            }
        };
        assert_eq!(outcome["result"], json!("came back"));
    }
    server.stop().await;
}
