//! Two engine processes that share the shards under load, one of them killed or frozen within a second after the other has come back: what was
//! acknowledged comes to its end, and every effect is made, those that may be made once at most once. The ledger of effects lies outside of the engine.
//!
//! `COREASON_SEED` repeats a schedule; `COREASON_KILLS_SECONDS` says how long it goes on (`./test kills --minutes 10`).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Database, Node, PATIENCE, client::http, remove, scratch};

/// How long it goes on unless told.
const SECONDS: u64 = 20;
/// It goes on until there were so many, however slow the machine is.
const TAKEOVERS_MIN: usize = 6;
const LEASE: Duration = Duration::from_secs(1);
/// What a takeover may take beyond its goal on a machine that builds something else meanwhile.
const SLACK: Duration = Duration::from_secs(2);
const CLIENTS: usize = 4;
/// How often each client starts a workflow.
const PACE: Duration = Duration::from_millis(100);
/// A frozen process takes a request and does not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The effects of `effects`, see `tests/node/effects.rs`, without that which is made at most once.
const EFFECTS: u32 = 4;

/// A schedule that a seed makes: `SplitMix64`.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap();
        Duration::from_millis(self.below(millis))
    }
}

/// Where the processes answer now.
pub(crate) type Addresses = Arc<Mutex<Vec<String>>>;

/// The two processes, of which one is to be killed or frozen next.
struct House {
    database: String,
    ledger: PathBuf,
    nodes: [Node; 2],
    target: usize,
    addresses: Addresses,
}

impl House {
    async fn open(database: &str, ledger: &Path) -> Self {
        let first = start_node(database, ledger);
        first.owns().await;
        let second = start_node(database, ledger);
        second.shares().await;
        let addresses = vec![first.address.clone(), second.address.clone()];
        Self {
            database: database.to_owned(),
            ledger: ledger.to_owned(),
            nodes: [first, second],
            target: 0,
            addresses: Arc::new(Mutex::new(addresses)),
        }
    }

    fn other(&self) -> usize {
        1 - self.target
    }

    /// Kills one, and returns how long it took the other one to own all.
    async fn kill(&mut self) -> Duration {
        self.nodes[self.target].signal(Signal::SIGKILL);
        let took = self.nodes[self.other()].owns().await;
        self.restart(self.target);
        took
    }

    /// Freezes one, and returns how long it took the other one to own all. The frozen one wakes up some time later, or never.
    async fn freeze(&mut self, then: Duration, wakes: bool) -> Duration {
        self.nodes[self.target].signal(Signal::SIGSTOP);
        let took = self.nodes[self.other()].owns().await;
        tokio::time::sleep(then).await;
        if wakes {
            self.nodes[self.target].signal(Signal::SIGCONT);
        } else {
            self.nodes[self.target].signal(Signal::SIGKILL);
            self.restart(self.target);
        }
        took
    }

    /// Kills one while the other one is frozen, starts it again, and returns how long it took that one to own.
    async fn kill_beside_frozen(&mut self) -> Duration {
        self.nodes[self.other()].signal(Signal::SIGSTOP);
        self.nodes[self.target].signal(Signal::SIGKILL);
        self.restart(self.target);
        let took = self.nodes[self.target].owns().await;
        self.nodes[self.other()].signal(Signal::SIGCONT);
        // The next one is the same again.
        self.target = self.other();
        took
    }

    fn restart(&mut self, node: usize) {
        self.nodes[node] = start_node(&self.database, &self.ledger);
        self.addresses.lock().unwrap()[node].clone_from(&self.nodes[node].address);
    }

    /// The one that owns all comes under fire next, when the other one has come back and got its share.
    async fn turn(&mut self) {
        self.target = self.other();
        self.nodes[self.other()].shares().await;
        self.nodes[self.target].shares().await;
    }
}

fn start_node(database: &str, ledger: &Path) -> Node {
    Node::start(database, ledger, &format!("{}ms", LEASE.as_millis()))
}

/// What was acknowledged: run ids by workflow id.
pub(crate) type Acknowledged = HashMap<String, String>;

/// Starts workflows until told to stop, and returns what was acknowledged.
async fn start_workflows(
    client: usize,
    addresses: Addresses,
    stop: Arc<AtomicBool>,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut to = Caller {
        http: http(),
        addresses,
        at: client % 2,
        owner: None,
        stop: Arc::clone(&stop),
    };
    let mut pace = tokio::time::interval(PACE);
    for n in 0.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("c{client}-{n}");
        let body = json!({"workflowType": "effects", "workflowId": id, "input": u32::from(n % 4 == 0), "requestId": format!("r-{id}")});
        let Some(run_id) = to.start(&body).await else {
            break;
        };
        // A repetition after the acknowledgement finds the same run.
        if n % 8 == 0
            && let Some(again) = to.start(&body).await
        {
            assert_eq!(again, run_id, "{id} was started twice");
        }
        acknowledged.insert(id, run_id);
    }
    acknowledged
}

/// A client that goes to another process when one refuses.
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    pub(crate) addresses: Addresses,
    pub(crate) at: usize,
    /// Where the last refusal said that the owner is.
    pub(crate) owner: Option<String>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Caller {
    fn turn(&mut self) {
        self.at = (self.at + 1) % self.addresses.lock().unwrap().len();
    }

    /// Sends a start until it is acknowledged, and returns the run; nothing when it is time to stop.
    pub(crate) async fn start(&mut self, body: &Value) -> Option<String> {
        loop {
            let address = self
                .owner
                .clone()
                .unwrap_or_else(|| self.addresses.lock().unwrap()[self.at].clone());
            let request = self
                .http
                .post(format!("{address}/api/v1/namespaces/default/workflows"));
            let answered = async {
                let response = request
                    .timeout(ANSWER_WITHIN)
                    .json(body)
                    .send()
                    .await
                    .ok()?;
                Some((
                    response.status().as_u16(),
                    response.json::<Value>().await.ok()?,
                ))
            };
            match answered.await {
                Some((200 | 201, started)) => return started["runId"].as_str().map(str::to_owned),
                Some((503, refused)) => {
                    let owner = refused["error"]["owner"].as_str().map(str::to_owned);
                    // They may name each other for a moment.
                    self.turn();
                    self.owner = owner.filter(|owner| *owner != address);
                }
                Some(refused) => unreachable!("a start is refused: {refused:?}"),
                None => {
                    self.turn();
                    self.owner = None;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What the database says, beside the engine.
pub(crate) struct Watcher(tokio_postgres::Client);

impl Watcher {
    pub(crate) async fn open(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    async fn count(&self, sql: &str) -> i64 {
        self.0.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn completed(&self) -> i64 {
        self.count("SELECT count(*) FROM execution WHERE status = 2")
            .await
    }

    /// Waits until more workflows have completed than had before.
    pub(crate) async fn progress(&self, before: i64) {
        let since = Instant::now();
        while self.completed().await <= before {
            assert!(
                since.elapsed() < PATIENCE,
                "no workflow completes after a takeover"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until nothing is open and nothing is undelivered.
    pub(crate) async fn all_closed(&self) {
        let open = "SELECT (SELECT count(*) FROM execution WHERE closed_at IS NULL) + (SELECT count(*) FROM outbox)";
        let since = Instant::now();
        while self.count(open).await > 0 {
            assert!(since.elapsed() < 2 * PATIENCE, "some workflows do not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How long takeovers took.
#[derive(Default)]
struct Takeovers {
    kills: Vec<Duration>,
    freezes: Vec<Duration>,
    /// Of one, while the other one was frozen; with the start of the process that took over.
    kills_beside_frozen: Vec<Duration>,
}

impl Takeovers {
    fn len(&self) -> usize {
        self.kills.len() + self.freezes.len() + self.kills_beside_frozen.len()
    }
}

/// Checks that each takeover came in time, and says how long they took.
fn in_time(blows: &str, goal: Duration, took: &mut [Duration]) -> String {
    took.sort();
    let longest = took.last().copied().unwrap_or_default();
    assert!(
        longest < goal + SLACK,
        "a takeover after {blows} took {longest:?}"
    );
    let p50 = took.get(took.len() / 2).copied().unwrap_or_default();
    format!(
        "{} {blows}: takeover p50 {p50:.2?}, max {longest:.2?}, goal {goal:?}",
        took.len()
    )
}

/// Kills and freezes one of them until the time is over.
async fn torment(
    house: &mut House,
    dice: &mut Dice,
    watcher: &Watcher,
    until: Instant,
) -> Takeovers {
    let mut takeovers = Takeovers::default();
    while Instant::now() < until || takeovers.len() < TAKEOVERS_MIN {
        // The first three are one of each.
        let blow = match u64::try_from(takeovers.len()).unwrap() {
            first @ 0..3 => 2 * first,
            _ => dice.below(5),
        };
        match blow {
            0 | 1 => takeovers.kills.push(house.kill().await),
            2 | 3 => {
                let (then, wakes) = (dice.up_to(LEASE), dice.below(4) > 0);
                let took = house.freeze(then, wakes).await;
                takeovers.freezes.push(took);
            }
            _ => {
                let took = house.kill_beside_frozen().await;
                takeovers.kills_beside_frozen.push(took);
            }
        }
        let before = watcher.completed().await;
        house.turn().await;
        watcher.progress(before).await;
        tokio::time::sleep(dice.up_to(Duration::from_secs(1))).await;
    }
    takeovers
}

/// Every acknowledged start is there, as that run, and has come to its end with all its effects.
pub(crate) async fn all_acknowledged_ended(
    watcher: &Watcher,
    acknowledged: &Acknowledged,
    effects: impl Fn(u32) -> u32,
) {
    let rows = watcher
        .0
        .query("SELECT workflow_id, run_id::text, status, result ->> 0 FROM workflow WHERE parent_run_id IS NULL", &[])
        .await
        .unwrap();
    let mut ends: HashMap<String, (String, String, Option<String>)> = HashMap::new();
    for row in rows {
        let end = (row.get(1), row.get(2), row.get(3));
        let twice = ends.insert(row.get(0), end);
        assert!(twice.is_none(), "{} ran twice", row.get::<_, String>(0));
    }
    for (id, run_id) in acknowledged {
        let end = ends.get(id);
        assert!(end.is_some(), "{id} is lost");
        let (found, status, result) = end.unwrap();
        assert_eq!(found, run_id, "{id} is another run");
        let n: u32 = id.split_once('-').unwrap().1.parse().unwrap();
        let effects = effects(n);
        assert_eq!(
            (status.as_str(), result.as_deref()),
            ("Completed", Some(effects.to_string().as_str())),
            "{id}"
        );
    }
}

/// What the ledger has of each activity, by type, run and id.
fn ledger(path: &Path) -> HashMap<(String, String, String), usize> {
    let mut counts = HashMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap();
        *counts.entry((next(), next(), next())).or_default() += 1;
    }
    counts
}

/// Holds the ledger against the histories; returns how many effects there were, and how many were made again.
pub(crate) async fn every_effect_was_made(watcher: &Watcher, path: &Path) -> (usize, usize) {
    let mut made = ledger(path);
    let total = made.values().sum();
    let again = made.values().map(|times| times - 1).sum();
    let sql = "SELECT activity_type, run_id::text, activity_id, status FROM activity";
    for row in watcher.0.query(sql, &[]).await.unwrap() {
        let (activity_type, status): (String, String) = (row.get(0), row.get(3));
        let key = (activity_type.clone(), row.get(1), row.get(2));
        let times = made.remove(&key).unwrap_or(0);
        if status == "Completed" {
            assert!(times > 0, "{key:?} completed and was never made");
        }
        if activity_type == "effect_once" {
            assert!(times < 2, "{key:?} was made {times} times");
        } else {
            assert_eq!(status, "Completed", "{key:?}");
        }
    }
    assert!(
        made.is_empty(),
        "made, and in no history: {:?}",
        made.keys().next()
    );
    (total, again)
}

pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse().ok();
    assert!(number.is_some(), "{variable} is a number, not {text:?}");
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_killed_and_frozen_under_load_lose_nothing_and_double_nothing() {
    let seed =
        number_from("COREASON_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1 >> 16);
    println!("COREASON_SEED={seed}");
    let lasts = Duration::from_secs(number_from("COREASON_KILLS_SECONDS").unwrap_or(SECONDS));

    let (database, path) = (Database::create().await, scratch());
    let mut house = House::open(&database.url(), &path).await;
    let watcher = Watcher::open(&database.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| start_workflows(n, Arc::clone(&house.addresses), Arc::clone(&stop)))
        .map(tokio::spawn)
        .collect();

    let until = Instant::now() + lasts;
    let mut takeovers = torment(&mut house, &mut Dice(seed), &watcher, until).await;
    // Beside a live engine, as an auditor would.
    database.check_rules().await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    watcher.all_closed().await;

    let effects = |n: u32| EFFECTS * (1 + u32::from(n.is_multiple_of(4)));
    all_acknowledged_ended(&watcher, &acknowledged, effects).await;
    let (effects, again) = every_effect_was_made(&watcher, &path).await;
    let events = database.check_audit().await;

    println!(
        "{} workflows acknowledged, {effects} effects of which {again} were made again, {events} events",
        acknowledged.len(),
    );
    let kill = Duration::from_secs(1);
    println!("{}", in_time("kills", kill, &mut takeovers.kills));
    println!("{}", in_time("freezes", LEASE, &mut takeovers.freezes));
    // A process starts meanwhile.
    let told = in_time(
        "kills beside a frozen one",
        LEASE + kill,
        &mut takeovers.kills_beside_frozen,
    );
    println!("{told}");

    drop(house);
    remove(&path);
    database.remove().await;
}
