//! One simulation, from its beginning to the end of all its workflows.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use history::{
    EventId, EventKind, RequestId, RunId, SignalName, Status, Timestamp, WorkflowExecution,
    WorkflowId, WorkflowType,
    decide::{Parent, Rejection, Signal, StartWorkflow, Terminate},
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    task::{Tasks, WorkerHello},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    namespace::ns,
    network,
    odds::Odds,
    program::{self, Program, Step, Total},
    scenario::{Fault, FaultKind, PROCESSES, Scenario, Workflow},
    store::LEASE,
    worker::{Outside, work},
    world::{self, Gate, Process, SIMULATED, chance, dawdle},
};
use crate::{
    Closed, Config, Error, Role, Started,
    membership::Membership,
    owner::message::Message,
    peers::PeerClient,
    store::load::Namespaces,
    tenure::{RENEWALS_A_PARTITION_LOOK, Tenure},
    words::{Delivery, Key, Op, Request, SessionId, StartReply},
};

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
    scenario: &'a Scenario,
    pub(super) outside: Outside,
    hosts: Vec<Arc<Mutex<Host>>>,
    /// Processes that are gone without a word: what they had open stays so.
    vanished: Mutex<Vec<Host>>,
}

/// Where a process runs, or does not.
struct Host {
    gate: Arc<Gate>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    state: watch::Receiver<Membership>,
}

impl Host {
    fn boot(outside: &Outside, config: Config, n: usize) -> Self {
        let peers = PeerClient {
            peers: Arc::new(outside.network.clone()),
            secret: uuid::Uuid::nil(),
        };
        let config = Config {
            address: network::address(n),
            peers: Arc::clone(&peers.peers),
            ..config
        };
        let (stop, stopping) = watch::channel(false);
        let (tell, state) = watch::channel(Membership::Outside { away: None });
        outside.network.connect(n, state.clone());
        let tenure = Tenure {
            config,
            store: Arc::new(outside.memory.of_process(n)),
            namespaces: Namespaces::only(&ns()),
            peers,
            world: SIMULATED,
            membership: tell,
        };
        let owning = tenure.run(stopping);
        let working = work(outside.clone(), n, state.clone());
        let gate = Arc::new(Gate::default());
        let process = Process {
            gate: Arc::clone(&gate),
            work: async move {
                tokio::select! {
                    biased;
                    () = owning => {}
                    () = working => {}
                }
            }
            .boxed(),
        };
        Self {
            gate,
            task: tokio::spawn(process),
            stop,
            state,
        }
    }
}

fn config(scenario: &Scenario) -> Config {
    Config {
        lease: LEASE,
        memory_bytes: scenario.memory_bytes,
        park_after: Duration::from_millis(scenario.park_after_millis),
        ..Config::new("", "")
    }
}

/// Returns how many statements so many engines send that have nothing to do, in so much time.
pub(super) fn statements_while_idle(engines: usize, time: Duration) -> u64 {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let hosts: Vec<Host> = (0..engines)
            .map(|n| Host::boot(&outside, Config::new("", ""), n))
            .collect();
        let sent = || outside.memory.state().statements;
        sleep(SHARED).await;
        let before = sent();
        sleep(time).await;
        for host in hosts {
            host.task.abort();
        }
        sent() - before
    })
}

/// The outcome of a hand-over for which somebody keeps a lock.
pub(super) struct HandOver {
    /// The latest epoch: each process that gives up, and joins anew, adds one.
    pub(super) epoch: i64,
    /// How many shards each process serves.
    pub(super) served: Vec<usize>,
}

/// Lets a second process join while somebody keeps the row for so long that hand-overs need.
pub(super) fn hand_over_beside(lease: Duration, time: Duration) -> HandOver {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let config = || Config {
            lease,
            ..Config::new("", "")
        };
        let first = Host::boot(&outside, config(), 0);
        sleep(SHARED).await;
        let second = Host::boot(&outside, config(), 1);
        let memory = &outside.memory;
        memory.until(|state| (state.epoch == 2).then_some(())).await;
        memory.keep_cluster(time).await.unwrap();
        sleep(SHARED).await;
        let hosts = [first, second];
        let served = hosts.iter().map(|host| match host.state.borrow().role() {
            Role::Member { shards, .. } => shards,
            Role::Outside => 0,
        });
        let hand_over = HandOver {
            epoch: memory.state().epoch,
            served: served.collect(),
        };
        for host in hosts {
            host.task.abort();
        }
        hand_over
    })
}

/// Returns how often old batch numbers are deleted in that time by a process whose last look at the partitions has no end.
pub(super) fn house_kept_beside_a_look_without_end(time: Duration) -> u64 {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let host = Host::boot(&outside, config(&Scenario::quiet()), 0);
        sleep(SHARED).await;
        outside.memory.state().partitions_kept = true;
        // At the shortest of leases, the next look.
        sleep(LEASE * u32::try_from(RENEWALS_A_PARTITION_LOOK).unwrap()).await;
        let before = outside.memory.state().old_batches_deleted;
        sleep(time).await;
        host.task.abort();
        let kept = outside.memory.state().old_batches_deleted;
        kept - before
    })
}

/// Returns how many requests a closed run sends in that time to a parent that none of them reaches, and how long it takes to
/// be heard once they do.
pub(super) fn requests_to_nowhere(time: Duration) -> (u64, Duration) {
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario::quiet();
        let simulation = Simulation::new(&scenario);
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let child = WorkflowId::known("child");
        simulation.start_unheard(&child, Step::Signal).await;
        let before = state().posted;
        simulation.terminate(&child).await;
        sleep(time).await;
        let posted = state().posted - before;
        state().odds.lost_requests = 0;
        let begun = Instant::now();
        // In virtual time a wait without an end would never let the test end.
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        (posted, begun.elapsed())
    })
}

/// Returns how long a member takes to stop while workers of another one have its tasks.
pub(super) fn stopping_takes() -> Duration {
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario {
            slots: 4,
            apart: true,
            ..Scenario::quiet()
        };
        let simulation = Simulation::new(&scenario);
        sleep(SHARED).await;
        for n in 0..100 {
            let mut ticks = waiting(Step::Timer { millis: 1 });
            ticks.program.steps = vec![Step::Timer { millis: 1 }; 20];
            ticks.program.queue = Some(0);
            let id = WorkflowId::known(format!("ticks {n}"));
            simulation.start(start(&id, "start", &ticks)).await.unwrap();
        }
        let begun = Instant::now();
        let stopped = &simulation.hosts[1];
        stopped.lock().unwrap().stop.send_replace(true);
        while !stopped.lock().unwrap().task.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        let took = begun.elapsed();
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        simulation.end_processes();
        took
    })
}

/// What was read of the database for many timers that are due within a second.
pub(super) struct Storm {
    /// When each run was due.
    pub(super) due: BTreeMap<RunId, Timestamp>,
    /// Each deadline that was read ahead.
    pub(super) deadlines_read: Vec<RunId>,
    /// The runs, in the order in which they were read.
    pub(super) runs_read: Vec<RunId>,
    /// How many are open still.
    pub(super) open: usize,
}

/// Lets so many runs sleep until the same second, parked, and lets it come.
pub(super) fn storm(engines: usize, runs: usize, ahead: Duration) -> Storm {
    let config = Config {
        park_after: Duration::from_secs(1),
        ..Config::new("", "")
    };
    let scenario = Scenario::quiet();
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1000, false), 0);
        let hosts = (0..engines).map(|n| Host::boot(&outside, config.clone(), n));
        let simulation = Simulation {
            scenario: &scenario,
            hosts: hosts.map(|host| Arc::new(Mutex::new(host))).collect(),
            vanished: Mutex::default(),
            outside,
        };
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let at = Instant::now() + ahead;
        for some in (0..runs).collect::<Vec<_>>().chunks(1000) {
            join_all(some.iter().map(|n| {
                let left = at.saturating_duration_since(Instant::now()).as_millis();
                let spread = *n as u64 * 7919 % 1000;
                let sleeps = waiting(Step::Timer {
                    millis: u64::try_from(left).unwrap() + spread,
                });
                simulation.start(start(
                    &WorkflowId::known(format!("sleeper {n}")),
                    "start",
                    &sleeps,
                ))
            }))
            .await;
        }
        sleep_until(at - ahead / 5).await;
        let due = state().due();
        state().runs_read.clear();
        sleep_until(at + Duration::from_mins(5)).await;
        for host in &simulation.hosts {
            host.lock().unwrap().task.abort();
        }
        let mut state = state();
        Storm {
            due,
            deadlines_read: std::mem::take(&mut state.deadlines_read),
            runs_read: std::mem::take(&mut state.runs_read),
            open: state.open().count(),
        }
    })
}

/// Returns a workflow of one step.
pub(super) fn waiting(step: Step) -> Workflow {
    Workflow {
        starts_at: 0,
        program: Program {
            queue: None,
            steps: vec![step],
            then: None,
        },
        signals: Vec::new(),
        terminated_at: None,
        wanted_at: Vec::new(),
        attached_at: Vec::new(),
        taken_over: false,
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
        tokio::select! {
            biased;
            () = self.violated() => {}
            ended = timeout(FAULTS_END + PATIENCE, watched) => {
                if ended.is_err() {
                    self.violation(self.stuck());
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

    /// Starts a workflow whose parent is with another member, and has all requests between them get lost from then on.
    async fn start_unheard(&self, workflow_id: &WorkflowId, step: Step) {
        let state = || self.outside.memory.state();
        let elsewhere = (0..100)
            .map(|n| WorkflowId::known(format!("elsewhere {n}")))
            .find(|parent| state().are_apart(workflow_id, parent));
        // There never was such a run; only its owner could say so.
        let parent = WorkflowExecution {
            workflow_id: elsewhere.unwrap(),
            run_id: RunId(uuid::Uuid::nil()),
        };
        state().odds.lost_requests = 1000;
        let started = self.start(StartWorkflow {
            parent: Some(Parent {
                namespace: ns().name,
                root: parent.clone(),
                execution: parent,
                initiated_event_id: EventId::FIRST,
            }),
            ..start(workflow_id, "start", &waiting(step))
        });
        started.await.unwrap();
    }

    pub(super) async fn start(&self, start: StartWorkflow) -> Result<Started, Error> {
        self.insist(|reply| Request::Start {
            namespace: ns(),
            request: Box::new(start.clone()),
            reply: StartReply::Caller {
                reply,
                closed: None,
            },
        })
        .await
    }

    /// Returns the way to the owner of a process, if it is a member.
    fn owner(&self, process: usize) -> Option<mpsc::UnboundedSender<Message>> {
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

    fn violation(&self, what: String) {
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

    /// Waits until nothing is open and nothing is owed.
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

    /// Starts a workflow, signals it, perhaps terminates it, and holds what it is told against what is stored.
    async fn client(&self, begun: Instant, n: usize, workflow: &Workflow) {
        let workflow_id = WorkflowId::known(format!("w{n}"));
        let at = |millis| begun + Duration::from_millis(millis);
        sleep_until(at(workflow.starts_at)).await;
        let started = self.start(start(&workflow_id, "start", workflow)).await;
        let first = match started {
            Ok(Started { run_id, .. }) => {
                if !self.outside.memory.state().run_exists(run_id) {
                    self.violation(format!(
                        "{workflow_id}: an acknowledged start is not stored"
                    ));
                }
                run_id
            }
            Err(error) => {
                return self.violation(format!("{workflow_id}: its start was refused: {error}"));
            }
        };
        let signals = join_all(
            workflow
                .signals
                .iter()
                .enumerate()
                .map(|(k, (when, value))| {
                    let workflow_id = workflow_id.clone();
                    let when = at(*when);
                    async move {
                        sleep_until(when).await;
                        if self.signal(&workflow_id, workflow, k, *value).await
                            && chance(|rng| rng.u32(0..3)) == 0
                        {
                            // As if the answer had been lost: to whichever run there is by then.
                            dawdle(4000).await;
                            if !self.signal(&workflow_id, workflow, k, *value).await {
                                self.violation(format!(
                                    "{workflow_id}: a signal that was heard is refused"
                                ));
                            }
                        }
                    }
                }),
        );
        let terminated = async {
            if let Some(when) = workflow.terminated_at {
                sleep_until(at(when)).await;
                self.terminate(&workflow_id).await;
            }
        };
        let wanted = join_all(workflow.wanted_at.iter().map(|when| {
            let (workflow_id, when) = (&workflow_id, at(*when));
            async move {
                sleep_until(when).await;
                self.want(workflow_id, workflow).await;
            }
        }));
        let attached = join_all(workflow.attached_at.iter().map(|when| {
            let (workflow_id, when) = (&workflow_id, at(*when));
            async move {
                sleep_until(when).await;
                self.attach(workflow_id, workflow).await;
            }
        }));
        let ended = async {
            // Half of them are looked at from outside, so that nobody's question wakes them.
            while n.is_multiple_of(2) && self.outside.memory.state().is_open(&workflow_id) {
                sleep(Duration::from_millis(50)).await;
            }
            self.end(&workflow_id, workflow).await;
        };
        tokio::join!(signals, terminated, wanted, attached, ended);
        if workflow.taken_over {
            self.take_over(&workflow_id, workflow, first).await;
        }
    }

    /// Wants a workflow to run, and after a while asks for it again: as if the answer had been lost.
    async fn attach(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let request = StartWorkflow {
            reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
            conflict_policy: WorkflowIdConflictPolicy::UseExisting,
            ..start(workflow_id, "attach", workflow)
        };
        if let Ok(answer) = self.start(request.clone()).await {
            dawdle(3000).await;
            self.is_answered(request, answer).await;
        }
    }

    /// Starts another run of an id that has ended; then all that was asked of the first one is asked again, and has no effect.
    async fn take_over(&self, workflow_id: &WorkflowId, workflow: &Workflow, first: RunId) {
        let mut next = waiting(Step::Timer { millis: 300 });
        // One that is served.
        next.program.queue = workflow.program.queue;
        let request = start(workflow_id, "next", &next);
        let second = match self.start(request.clone()).await {
            Ok(answer) if answer.started && answer.run_id != first => answer,
            other => {
                return self.violation(format!(
                    "{workflow_id}: another start of it was answered with {other:?}"
                ));
            }
        };
        let first = Started {
            run_id: first,
            started: true,
        };
        let again = start(workflow_id, "start", workflow);
        self.is_answered(again.clone(), first).await;
        for (k, (_, value)) in workflow.signals.iter().enumerate() {
            self.signal(workflow_id, workflow, k, *value).await;
        }
        self.is_answered(request, second).await;
        let closed = self
            .insist(|reply| Request::On {
                key: key(workflow_id),
                run_id: Some(second.run_id),
                op: Op::WaitClosed { reply },
            })
            .await;
        if let Ok(Closed { event, .. }) = closed
            && let EventKind::WorkflowExecutionCompleted(a) = &event.kind
        {
            let Total { signals, .. } = program::read(&a.result);
            if signals != 0 && workflow.terminated_at.is_none() {
                self.violation(format!(
                    "{workflow_id}: its next run was sent what the one before had heard"
                ));
            }
        }
        self.is_answered(again, first).await;
    }

    /// Sends a start again, and looks whether it is answered as it was.
    async fn is_answered(&self, request: StartWorkflow, before: Started) {
        let workflow_id = request.workflow_id.clone();
        match self.start(request).await {
            Ok(answer) if answer == before => {}
            other => self.violation(format!(
                "{workflow_id}: a start that was answered with {before:?} is answered with {other:?}"
            )),
        }
    }

    /// Starts a workflow of an id that is used already, and looks whether what it is told was so when it asked.
    async fn want(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let closed_before = Cell::new(Vec::new());
        let answer = self
            .insist(|reply| {
                closed_before.set(self.outside.memory.state().closed(workflow_id));
                Request::Start {
                    namespace: ns(),
                    request: Box::new(StartWorkflow {
                        reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
                        ..start(workflow_id, "want", workflow)
                    }),
                    reply: StartReply::Caller {
                        reply,
                        closed: None,
                    },
                }
            })
            .await;
        match answer {
            Err(Error::Rejected(Rejection::WorkflowAlreadyStarted { run_id, .. })) => {
                if closed_before.take().contains(&run_id) {
                    self.violation(format!(
                        "{workflow_id}: a start was refused for {run_id}, which was closed"
                    ));
                }
            }
            Err(Error::Rejected(Rejection::WorkflowIdReuseRefused { .. })) => {}
            other => self.violation(format!(
                "{workflow_id}: a second start was answered with {other:?}"
            )),
        }
    }

    /// Sends a signal, and says whether it was heard.
    pub(super) async fn signal(
        &self,
        workflow_id: &WorkflowId,
        workflow: &Workflow,
        k: usize,
        value: i64,
    ) -> bool {
        let request = format!("{workflow_id} signal {k}.");
        let answer = self
            .insist(|reply| {
                on(
                    workflow_id,
                    Op::of_client(
                        Delivery::Signal(Box::new(Signal {
                            signal_name: SignalName::known("signal"),
                            input: program::json(&value),
                            header: Default::default(),
                            identity: None,
                            request_id: Some(RequestId::known(&request)),
                            external: None,
                        })),
                        reply,
                    ),
                )
            })
            .await;
        let stored = self.outside.memory.state().mentions(workflow_id, &request);
        let heard = answer.is_ok();
        match answer {
            Ok(()) if !stored => {
                self.violation(format!(
                    "{workflow_id}: an acknowledged signal is not stored"
                ));
            }
            Err(error) if !stored && workflow.terminated_at.is_none() => {
                self.violation(format!("{workflow_id}: a signal was refused: {error}"));
            }
            _ => {}
        }
        heard
    }

    pub(super) async fn terminate(&self, workflow_id: &WorkflowId) {
        // Refused only when it is closed, which `end` looks at.
        let _ = self
            .insist(|reply| {
                on(
                    workflow_id,
                    Op::of_client(
                        Delivery::Terminate(Box::new(Terminate {
                            reason: "planned".to_owned(),
                            details: Default::default(),
                            identity: None,
                        })),
                        reply,
                    ),
                )
            })
            .await;
    }

    /// Waits for the end of a workflow and compares its result.
    async fn end(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let closed: Closed = loop {
            let closed = self
                .insist(|reply| on(workflow_id, Op::WaitClosed { reply }))
                .await;
            match closed {
                Ok(closed) if closed.status == Status::ContinuedAsNew => {}
                Ok(closed) => break closed,
                Err(error) => {
                    return self.violation(format!("{workflow_id}: its end is not told: {error}"));
                }
            }
        };
        let stored = self.outside.memory.state().records(closed.run_id);
        let event = serde_json::to_string(&closed.event).unwrap_or_default();
        if !stored.contains(&event) {
            self.violation(format!(
                "{workflow_id}: the end that was told is not stored: {event}"
            ));
        }
        match &closed.event.kind {
            EventKind::WorkflowExecutionCompleted(a) => {
                let result: Total = program::read(&a.result);
                let signals = workflow.signals.iter().map(|(_, value)| value).sum();
                let expected = workflow.program.oracle(signals);
                if result != expected {
                    self.violation(format!(
                        "{workflow_id} returned {result:?}, not {expected:?}"
                    ));
                }
            }
            EventKind::WorkflowExecutionTerminated(_) if workflow.terminated_at.is_some() => {}
            kind => self.violation(format!("{workflow_id} ended with {}", kind.name())),
        }
    }

    /// Asks the owner, whoever that is, until it answers something that trying again does not change.
    async fn insist<T>(
        &self,
        request: impl Fn(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let mut told = None;
        loop {
            let asked = told
                .take()
                .unwrap_or_else(|| chance(|rng| rng.usize(..self.hosts.len())));
            if let Some(owner) = self.owner(asked) {
                let (reply, answer) = oneshot::channel();
                // Its answer may take as long as a workflow does.
                if owner.send(Message::Request(request(reply))).is_ok()
                    && let Ok(Ok(answer)) = timeout(Duration::from_millis(1500), answer).await
                {
                    match answer {
                        Err(Error::NotOwner { owner }) => {
                            told = owner.as_deref().and_then(network::number);
                        }
                        Err(Error::Unavailable(_) | Error::Store(_)) => {}
                        answer => return answer,
                    }
                }
            }
            dawdle(50).await;
        }
    }
}

fn on(workflow_id: &WorkflowId, op: Op) -> Request {
    Request::On {
        key: key(workflow_id),
        run_id: None,
        op,
    }
}

fn key(workflow_id: &WorkflowId) -> Key {
    Key {
        namespace: ns(),
        workflow_id: workflow_id.clone(),
    }
}

pub(super) fn start(workflow_id: &WorkflowId, request: &str, workflow: &Workflow) -> StartWorkflow {
    StartWorkflow {
        workflow_id: workflow_id.clone(),
        workflow_type: WorkflowType::known("program"),
        task_queue: program::queue(workflow.program.queue),
        input: program::start_input(&workflow.program),
        workflow_execution_timeout: Default::default(),
        workflow_run_timeout: Default::default(),
        workflow_task_timeout: Default::default(),
        request_id: RequestId::known(format!("{workflow_id} {request}")),
        identity: None,
        reuse_policy: Default::default(),
        conflict_policy: Default::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        start_delay: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
        header: Default::default(),
        parent: None,
        continued: None,
    }
}
