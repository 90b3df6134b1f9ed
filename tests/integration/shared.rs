//! Three engine processes that share one database under load: one is killed, one leaves, one joins; every result is exact.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Node, PATIENCE,
    client::{code, http},
    remove, scratch,
};

/// How many of each kind are started.
const FAMILIES: usize = 40;
const PAIRS: usize = 40;
/// How many messages go from one workflow of a pair to the other.
const MESSAGES: u32 = 6;
/// The effects of one `effects`, see `tests/node/effects.rs`, without that which is made at most once.
const EFFECTS: u32 = 4;
/// How many children below each other a family has.
const CHILDREN: u32 = 2;

/// Asks until somebody answers with one of these statuses.
async fn insist(clients: &[Client], n: usize, path: &str, body: Option<&Value>) -> Value {
    let since = Instant::now();
    for turn in n.. {
        let client = &clients[turn % clients.len()];
        let answered = match body {
            Some(body) => client.try_post(path, body).await,
            None => client.try_get(path).await,
        };
        match answered {
            Some((200 | 201, answer)) => return answer,
            Some((status, body)) => assert_eq!(status, 503, "{path}: {body}"),
            None => {}
        }
        assert!(since.elapsed() < PATIENCE, "nobody answers {path}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("turns do not end")
}

fn family(n: usize) -> Value {
    let id = format!("family{n}");
    json!({"workflowType": "effects", "workflowId": id, "input": CHILDREN, "requestId": id})
}

fn tally(n: usize) -> Value {
    let id = format!("tally{n}");
    json!({"workflowType": "tally", "workflowId": id, "input": MESSAGES, "requestId": id})
}

fn teller(n: usize) -> Value {
    let (id, to) = (format!("teller{n}"), format!("tally{n}"));
    json!({"workflowType": "teller", "workflowId": id, "inputs": [to, MESSAGES], "requestId": id})
}

/// Starts so many of each at once.
async fn start(clients: &[Client], from: usize, to: usize) {
    let starts: Vec<_> = (from..to)
        .map(|n| {
            let clients = clients.to_vec();
            tokio::spawn(async move {
                for body in [family(n), tally(n), teller(n)] {
                    insist(&clients, n, "", Some(&body)).await;
                }
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
}

/// Waits for a workflow's result.
async fn result(clients: &[Client], id: &str) -> Value {
    let since = Instant::now();
    loop {
        let path = format!("/{id}/result?wait=2s");
        let outcome = insist(clients, 0, &path, None).await;
        if outcome["status"] != "Running" {
            return outcome["result"].clone();
        }
        assert!(since.elapsed() < PATIENCE, "{id} does not end: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_exact_while_one_member_is_killed_one_leaves_and_one_joins() {
    let (database, path) = (Database::create().await, scratch());
    let start_node = || Node::start(&database.url(), &path, "2s");
    let (first, second, third) = (start_node(), start_node(), start_node());
    for node in [&first, &second, &third] {
        node.shares().await;
    }
    let clients =
        |nodes: &[&Node]| -> Vec<Client> { nodes.iter().map(|node| node.client.clone()).collect() };
    let quarter = FAMILIES / 4;
    start(&clients(&[&first, &second, &third]), 0, quarter).await;
    first.signal(Signal::SIGKILL);
    start(&clients(&[&second, &third]), quarter, 2 * quarter).await;
    let fourth = start_node();
    let asked = clients(&[&second, &third]);
    tokio::join!(start(&asked, 2 * quarter, 3 * quarter), fourth.shares());
    second.signal(Signal::SIGTERM);
    let left = clients(&[&third, &fourth]);
    start(&left, 3 * quarter, FAMILIES).await;

    for n in 0..FAMILIES {
        let made = result(&left, &format!("family{n}")).await;
        assert_eq!(made, json!(EFFECTS * (CHILDREN + 1)), "family{n}");
    }
    for n in 0..PAIRS {
        let told = result(&left, &format!("teller{n}")).await;
        assert_eq!(told, json!(MESSAGES), "teller{n}");
        let sum = result(&left, &format!("tally{n}")).await;
        assert_eq!(sum, json!(MESSAGES * (MESSAGES + 1) / 2), "tally{n}");
    }
    // Each member takes a request to the one that has the shard.
    for (client, n) in left
        .iter()
        .flat_map(|client| (0..FAMILIES).map(move |n| (client, n)))
    {
        let (status, answer) = client.get(&format!("/family{n}")).await;
        assert_eq!(status, 200, "family{n}: {answer}");
    }
    database.check_audit().await;
    drop((first, second, third, fourth));
    remove(&path);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_from_a_member_is_refused() {
    let (database, path) = (Database::create().await, scratch());
    let node = Node::start(&database.url(), &path, "2s");
    node.owns().await;
    let signal = json!({"Deliver": {
        "namespace": "default", "workflow_id": "w", "run_id": null, "only_child_of": null,
        "delivery": {"Terminate": {"reason": "", "details": [], "identity": null}},
    }});
    let requests = [
        json!({"secret": uuid::Uuid::nil(), "request": signal}).to_string(),
        json!({"request": signal}).to_string(),
        "no request".to_owned(),
    ];
    for request in requests {
        let url = format!("{}/internal/v1/deliver", node.address);
        let answer = http().post(url).body(request.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        let answer = (status, answer.json().await.unwrap());
        assert_eq!(code(&answer), (403, "NOT_A_MEMBER"), "{request}");
    }
    drop(node);
    database.remove().await;
}
