//! Three different programs on one database, each with workers for a queue of its own, under kills, freezes and restarts: workflows
//! of each call activities and start children of the others, whichever process owns them; every result is exact.
//!
//! `COREASON_SEED` repeats a schedule; `COREASON_KILLS_SECONDS` says how long it goes on (`./test kills --minutes 10`).

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    kills::{
        Acknowledged, Addresses, Caller, Dice, Watcher, all_acknowledged_ended,
        every_effect_was_made, number_from,
    },
    support::{Database, Node, PATIENCE, client::http, remove, scratch},
};

/// How long it goes on unless told.
const SECONDS: u64 = 15;
/// It goes on until there were so many blows, however slow the machine is: each kind falls on each program.
const BLOWS_MIN: u64 = 9;
const LEASE: Duration = Duration::from_secs(1);
/// How often each client starts a workflow.
const PACE: Duration = Duration::from_millis(150);
/// The queues, and the workflows of the same names, see `tests/node/programs.rs`.
const PROGRAMS: [&str; 3] = ["alpha", "beta", "gamma"];
/// The effects of one of them, without that which is made at most once.
const EFFECTS: u32 = 4;

/// How many children below each other the nth workflow of a client has.
fn children(n: u32) -> u32 {
    if n.is_multiple_of(4) { 3 } else { 0 }
}

struct House {
    database: String,
    ledger: PathBuf,
    nodes: Vec<Node>,
    addresses: Addresses,
}

impl House {
    async fn open(database: &str, ledger: &Path) -> Self {
        let start = |program| start_node(program, database, ledger);
        let nodes: Vec<Node> = PROGRAMS.into_iter().map(start).collect();
        for node in &nodes {
            node.shares().await;
        }
        let addresses = nodes.iter().map(|node| node.address.clone()).collect();
        Self {
            database: database.to_owned(),
            ledger: ledger.to_owned(),
            nodes,
            addresses: Arc::new(Mutex::new(addresses)),
        }
    }

    fn restart(&mut self, n: usize) {
        self.nodes[n] = start_node(PROGRAMS[n], &self.database, &self.ledger);
        self.addresses.lock().unwrap()[n].clone_from(&self.nodes[n].address);
    }

    /// Kills, freezes or stops the process of a program, and brings it back.
    async fn strike(&mut self, n: usize, blow: u64, dice: &mut Dice) {
        match blow {
            0 => {
                self.nodes[n].signal(Signal::SIGKILL);
                tokio::time::sleep(dice.up_to(LEASE)).await;
                self.restart(n);
            }
            1 => {
                self.nodes[n].signal(Signal::SIGSTOP);
                tokio::time::sleep(2 * dice.up_to(LEASE)).await;
                self.nodes[n].signal(Signal::SIGCONT);
            }
            _ => {
                self.nodes[n].signal(Signal::SIGTERM);
                let since = Instant::now();
                while self.nodes[n].ready().await.is_some() {
                    assert!(since.elapsed() < PATIENCE, "{} does not stop", PROGRAMS[n]);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                self.restart(n);
            }
        }
        for node in &self.nodes {
            node.shares().await;
        }
    }
}

fn start_node(program: &str, database: &str, ledger: &Path) -> Node {
    Node::start_program(
        program,
        database,
        ledger,
        &format!("{}ms", LEASE.as_millis()),
    )
}

/// Starts workflows of one program until told to stop, and returns what was acknowledged.
async fn start_workflows(n: usize, addresses: Addresses, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut to = Caller {
        http: http(),
        addresses,
        at: n,
        owner: None,
        stop: Arc::clone(&stop),
    };
    let mut pace = tokio::time::interval(PACE);
    for nth in 0.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{}-{nth}", PROGRAMS[n]);
        let body = json!({
            "workflowType": PROGRAMS[n], "taskQueue": PROGRAMS[n], "workflowId": id,
            "input": children(nth), "requestId": id,
        });
        let Some(run_id) = to.start(&body).await else {
            break;
        };
        acknowledged.insert(id, run_id);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn three_programs_serve_each_other_while_they_are_killed_frozen_and_restarted() {
    let seed =
        number_from("COREASON_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1 >> 16);
    println!("COREASON_SEED={seed}");
    let lasts = Duration::from_secs(number_from("COREASON_KILLS_SECONDS").unwrap_or(SECONDS));
    let mut dice = Dice(seed);

    let (database, path) = (Database::create().await, scratch());
    let mut house = House::open(&database.url(), &path).await;
    let watcher = Watcher::open(&database.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..PROGRAMS.len())
        .map(|n| start_workflows(n, Arc::clone(&house.addresses), Arc::clone(&stop)))
        .map(tokio::spawn)
        .collect();

    let until = Instant::now() + lasts;
    let mut blows = 0;
    while Instant::now() < until || blows < BLOWS_MIN {
        let (n, blow) = match blows {
            first @ 0..BLOWS_MIN => (first % 3, first / 3),
            _ => (dice.below(3), dice.below(3)),
        };
        house
            .strike(usize::try_from(n).unwrap(), blow, &mut dice)
            .await;
        let before = watcher.completed().await;
        watcher.progress(before).await;
        blows += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    watcher.all_closed().await;

    let effects = |n: u32| EFFECTS * (1 + children(n));
    all_acknowledged_ended(&watcher, &acknowledged, effects).await;
    let (effects, again) = every_effect_was_made(&watcher, &path).await;
    let events = database.check_audit().await;
    println!(
        "{blows} blows, {} workflows acknowledged, {effects} effects of which {again} were made again, {events} events",
        acknowledged.len(),
    );

    drop(house);
    remove(&path);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_comes_later_takes_what_waits_for_its_queue() {
    let (database, path) = (Database::create().await, scratch());
    let lease = "5s";
    let alpha = Node::start_program("alpha", &database.url(), &path, lease);
    alpha.owns().await;
    // Some belong to shards that stay with the first process, some to those that go to the second.
    for n in 0..16 {
        let id = format!("beta-{n}");
        let body = json!({
            "workflowType": "beta", "taskQueue": "beta", "workflowId": id, "input": 0,
        });
        assert_eq!(alpha.client.post("", body).await.0, 201);
    }
    let beta = Node::start_program("beta", &database.url(), &path, lease);
    let gamma = Node::start_program("gamma", &database.url(), &path, lease);
    for node in [&beta, &gamma] {
        node.shares().await;
    }
    for n in 0..16 {
        let (status, ended) = alpha
            .client
            .get(&format!("/beta-{n}/result?wait=20s"))
            .await;
        assert_eq!(
            (status, &ended["result"]),
            (200, &json!(EFFECTS)),
            "{ended}"
        );
    }
    database.check_audit().await;
    drop((alpha, beta, gamma));
    remove(&path);
    database.remove().await;
}
