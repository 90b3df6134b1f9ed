//! One simulation, from its beginning to the end of all its workflows.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{join_all, select_all},
};
use history::task::{Tasks, WorkerHello};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    host::Host,
    namespace::ns,
    odds::Odds,
    reader::{READERS, Reader},
    scenario::{Fault, FaultKind, PROCESSES, Scenario},
    store::LEASE,
    worker::Outside,
    world::{self, SIMULATED},
};
use crate::{Config, membership::Membership, owner::message::Message, words::SessionId};

/// How long all workflows may take, in virtual time, once nothing goes wrong any more.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
/// When the last fault is over at the latest, but for a process that hears nothing.
const FAULTS_END: Duration = Duration::from_secs(6);

/// By when processes that begin have shared the shards.
pub(super) const SHARED: Duration = Duration::from_mins(1);

/// The outcome of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) violation: Option<String>,
    pub(super) commits: u64,
    pub(super) events: u64,
    pub(super) digest: u64,
    /// Shards that went to another member while both lived.
    pub(super) given: u64,
    /// Requests that went to another member.
    pub(super) sent: u64,
}

/// Runs a scenario.
pub(super) fn simulate(scenario: &Scenario) -> Outcome {
    super::planted::plant(scenario.bug);
    runtime().block_on(async {
        world::begin(scenario.seed);
        Simulation::new(scenario).run().await
    })
}

/// Returns a runtime of one thread, on which time passes when nothing else is to do.
pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

pub(super) struct Simulation<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) outside: Outside,
    pub(super) hosts: Vec<Arc<Mutex<Host>>>,
    /// Processes that are gone without a word: what they had open stays so.
    pub(super) vanished: Mutex<Vec<Host>>,
}

pub(super) fn config(scenario: &Scenario) -> Config {
    Config {
        lease: LEASE,
        memory_bytes: scenario.memory_bytes,
        park_after: Duration::from_millis(scenario.park_after_millis),
        ..Config::new("", "")
    }
}

impl<'a> Simulation<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self::of(scenario, PROCESSES)
    }

    /// Returns one of so many processes.
    pub(super) fn of(scenario: &'a Scenario, processes: usize) -> Self {
        let outside = Outside::new(
            scenario.odds,
            (scenario.slots, scenario.apart),
            scenario.leaves_after,
        );
        let hosts = (0..processes)
            .map(|n| Host::boot(&outside, config(scenario), n))
            .map(|host| Arc::new(Mutex::new(host)))
            .collect();
        Self {
            scenario,
            outside,
            hosts,
            vanished: Mutex::default(),
        }
    }

    async fn run(&self) -> Outcome {
        let begun = Instant::now();
        let faults = join_all(
            self.scenario
                .faults
                .iter()
                .map(|fault| self.suffer(begun, fault)),
        );
        let calm = async {
            sleep(FAULTS_END).await;
            self.outside.memory.state().odds = Odds::default();
        };
        let clients = self.scenario.workflows.iter().enumerate();
        let clients = join_all(clients.map(|(n, workflow)| self.client(begun, n, workflow)));
        let all = async {
            tokio::join!(faults, calm);
        };
        let watched = async {
            let clients = async {
                clients.await;
                self.settled().await;
            };
            tokio::join!(all, clients);
        };
        let readers: Vec<Reader> = (0..READERS).map(|_| Reader::new()).collect();
        let memory = &self.outside.memory;
        tokio::select! {
            biased;
            () = self.violated() => {}
            violation = self.misread(&readers) => self.violation(violation),
            ended = timeout(FAULTS_END + PATIENCE, watched) => {
                if ended.is_err() {
                    self.violation(self.stuck());
                }
                for reader in &readers {
                    if let Err(violation) = reader.finish(memory).await {
                        self.violation(violation);
                    }
                }
            }
        }
        self.end_processes();
        let state = self.outside.memory.state();
        Outcome {
            violation: state
                .checks
                .violation()
                .cloned()
                .or_else(world::seen_inside),
            commits: state.checks.commits,
            events: state.checks.events,
            digest: state.checks.digest,
            given: state.given,
            sent: state.sent,
        }
    }

    /// Ends all processes.
    pub(super) fn end_processes(&self) {
        for host in &self.hosts {
            host.lock().unwrap().task.abort();
        }
        for host in self.vanished.lock().unwrap().iter() {
            host.task.abort();
        }
    }

    /// Returns the way to the owner of a process, if it is a member.
    pub(super) fn owner(&self, process: usize) -> Option<mpsc::UnboundedSender<Message>> {
        match &*self.hosts[process].lock().unwrap().state.borrow() {
            Membership::Member { sender, .. } => Some(sender.clone()),
            Membership::Leaving { .. } | Membership::Outside { .. } => None,
        }
    }

    /// Connects a worker to the first process that never answers.
    pub(super) fn connect(&self, hello: WorkerHello) {
        let connect = Message::Connect {
            session: SessionId::new(SIMULATED),
            namespace: ns(),
            hello,
            tasks: Tasks::new(|_| true),
        };
        let owner = self.owner(0).expect("it is a member");
        owner.send(connect).expect("it lives");
    }

    /// Waits for the first violation.
    async fn violated(&self) {
        while self.outside.memory.state().checks.violation().is_none() {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reads the feed until something is wrong with it; returns that.
    async fn misread(&self, readers: &[Reader]) -> String {
        let tails = || {
            let hosts = self.hosts.iter();
            hosts
                .map(|host| Arc::clone(&host.lock().unwrap().tail))
                .collect()
        };
        let reading = readers.iter();
        let reading = reading.map(|reader| reader.read(&self.outside.memory, tails).boxed());
        select_all(reading).await.0
    }

    pub(super) fn violation(&self, what: String) {
        self.outside.memory.state().checks.violated(what);
    }

    /// Tells all that has not come to its end.
    fn stuck(&self) -> String {
        let state = self.outside.memory.state();
        let open = state.open().map(|(run_id, workflow_id)| {
            let records = super::checks::parse(&state.records(*run_id).replace("][", ","));
            let names = records.iter().map(|record| match record {
                history::Record::Event(event) => format!("{} {}", event.id, event.kind.name()),
                history::Record::Note(noted) => format!("{:?}", noted.note),
            });
            let names: Vec<String> = names.collect();
            let shard = crate::shard::of(&ns().name, workflow_id);
            let names = names.join("\n");
            format!("{workflow_id} ({run_id}, shard {shard}) is still open:\n{names}")
        });
        let left: Vec<String> = open.chain(state.leftover()).collect();
        if left.is_empty() {
            return "a client waits for something that does not come".to_owned();
        }
        left.join("\n")
    }

    /// Waits until nothing is open and nothing is undelivered.
    pub(super) async fn settled(&self) {
        loop {
            {
                let state = self.outside.memory.state();
                if state.open().next().is_none() && state.leftover().is_none() {
                    return;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn suffer(&self, begun: Instant, fault: &Fault) {
        sleep_until(begun + Duration::from_millis(fault.at)).await;
        let host = &self.hosts[fault.process];
        match fault.kind {
            FaultKind::Killed { back_after } => {
                host.lock().unwrap().task.abort();
                sleep(Duration::from_millis(back_after)).await;
                self.boot(fault.process);
            }
            FaultKind::Frozen { for_millis } => {
                let gate = Arc::clone(&host.lock().unwrap().gate);
                gate.freeze();
                sleep(Duration::from_millis(for_millis)).await;
                gate.thaw();
            }
            FaultKind::Deaf { for_millis } => {
                self.outside.network.deafen(fault.process);
                sleep(Duration::from_millis(for_millis)).await;
                self.outside.network.heal(fault.process);
            }
            FaultKind::Vanished { back_after } => {
                let gate = Arc::clone(&host.lock().unwrap().gate);
                gate.vanish();
                sleep(Duration::from_millis(back_after)).await;
                let mut host = host.lock().unwrap();
                // Unless somebody else has started it again.
                if Arc::ptr_eq(&host.gate, &gate) {
                    let next = Host::boot(&self.outside, config(self.scenario), fault.process);
                    let gone = std::mem::replace(&mut *host, next);
                    self.vanished.lock().unwrap().push(gone);
                }
            }
            FaultKind::Stopped { back_after } => {
                host.lock().unwrap().stop.send_replace(true);
                // Longer than it may drain; one that is frozen just then is ended as an operator would.
                sleep(Duration::from_millis(1000 + back_after)).await;
                host.lock().unwrap().task.abort();
                self.boot(fault.process);
            }
        }
    }

    fn boot(&self, n: usize) {
        let mut host = self.hosts[n].lock().unwrap();
        host.task.abort();
        *host = Host::boot(&self.outside, config(self.scenario), n);
    }
}
