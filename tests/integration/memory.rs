//! What a real process takes when it takes over far more than its memory may hold. It takes minutes: `./test kills`.

use std::{fmt::Write as _, sync::Arc, time::Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Client, Database, Node, scratch};

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

/// Holds what a process has had resident since the last phase to the limit, without what it has when it does nothing. Beside open runs
/// there is what is read, written and answered at the moment. Returns the figures.
fn within_limit(node: &Node, idle: usize, phase: &str) -> String {
    let most = node.peak().saturating_sub(idle);
    let figures = format!("{phase}: {} MiB, and {} MiB idle", most / MIB, idle / MIB);
    assert!(most < LIMIT + 160 * MIB, "{figures}");
    node.forget_peak();
    figures
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_of_2000_runs_of_a_mebibyte_stays_within_512_mib() {
    let (database, path) = (Database::create().await, scratch());
    let first = Node::start(&database.url(), &path, "10s");
    first.owns().await;
    let idle = first.peak();
    let begun = Instant::now();
    for_each_run(&first.client, start).await;
    let phase = format!("all started, in {:?}", begun.elapsed());
    println!("{}", within_limit(&first, idle, &phase));
    let second = Node::start(&database.url(), &path, "10s");
    second.shares().await;
    println!(
        "{}",
        within_limit(&first, idle, "the first, when it shares")
    );
    println!(
        "{}",
        within_limit(&second, idle, "the second, when it shares")
    );
    let begun = Instant::now();
    first.signal(Signal::SIGKILL);
    second.owns().await;
    let phase = format!("taken over, in {:?}", begun.elapsed());
    println!("{}", within_limit(&second, idle, &phase));
    let begun = Instant::now();
    for_each_run(&second.client, go).await;
    for_each_run(&second.client, returns_its_length).await;
    let phase = format!("all done, in {:?}", begun.elapsed());
    println!("{}", within_limit(&second, idle, &phase));
    drop((first, second));
    // Nothing was done outside of the engine, so there is no ledger.
    std::fs::remove_file(path.with_extension("log")).unwrap();
    database.remove().await;
}
