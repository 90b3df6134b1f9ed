//! What a real process takes when it takes over far more than its memory may hold.

use std::{fmt::Write as _, sync::Arc, time::Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Client, Database, Node, remove, scratch};

const RUNS: usize = 2000;
const MIB: usize = 1024 * 1024;
/// What open runs may take unless told: `engine::limits::MEMORY_BYTES`.
const LIMIT: usize = engine::limits::MEMORY_BYTES;

/// A mebibyte of hexadecimal digits that no compression makes small.
fn mebibyte(n: usize) -> String {
    let mut state = u64::try_from(n).unwrap() + 1;
    let mut text = String::with_capacity(MIB);
    while text.len() < MIB {
        // A linear congruential generator of Knuth's.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        write!(text, "{:016x}", state ^ (state >> 29)).unwrap();
    }
    text
}

/// Does something for each run, sixteen at a time.
async fn for_each_run<F: Future<Output = ()> + Send + 'static>(
    client: &Client,
    does: fn(Client, usize) -> F,
) {
    let at_once = Arc::new(Semaphore::new(16));
    let mut under_way = tokio::task::JoinSet::new();
    for n in 0..RUNS {
        let turn = Arc::clone(&at_once).acquire_owned().await.unwrap();
        let client = client.clone();
        under_way.spawn(async move {
            does(client, n).await;
            drop(turn);
        });
    }
    under_way.join_all().await;
}

async fn start(client: Client, n: usize) {
    let body = json!({"workflowType": "holder", "workflowId": format!("large {n}"), "inputs": [mebibyte(n)]});
    let (status, answer) = client.post("", body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn go(client: Client, n: usize) {
    let path = format!("/large%20{n}/signal");
    let (status, answer) = client.post(&path, json!({"signalName": "go"})).await;
    assert_eq!(status, 200, "{answer}");
}

async fn returns_its_length(client: Client, n: usize) {
    let outcome = client.result(&format!("large%20{n}")).await;
    assert_eq!(outcome["result"], json!(MIB), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand: 2,000 runs of a mebibyte, some 6 GB to write and minutes"]
async fn a_takeover_of_2000_runs_of_a_mebibyte_stays_within_512_mib() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "10s");
    first.owns().await;
    for_each_run(&first.client, start).await;
    eprintln!("first, when all had started: {} MiB", first.peak() / MIB);
    let second = Node::start(&database.url(), &path, "10s");
    second.shares().await;
    let begun = Instant::now();
    first.signal(Signal::SIGKILL);
    second.owns().await;
    let took = begun.elapsed();
    eprintln!("second, took over in {took:?}: {} MiB", second.peak() / MIB);
    for_each_run(&second.client, go).await;
    for_each_run(&second.client, returns_its_length).await;
    eprintln!("second, when all were done: {} MiB", second.peak() / MIB);
    // The process itself, and what is read, written and answered at the moment.
    assert!(second.peak() < LIMIT + 256 * MIB);
    drop((first, second));
    remove(&path);
    database.remove().await;
}
