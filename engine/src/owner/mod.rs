//! The owner: folds, decides, matches tasks with workers, and tells everybody what became durable.
//!
//! One task, no locks. It never waits: what takes time (the database) is done elsewhere and comes back as
//! a message. The life of a request: a message -> [`history::decide`] -> records applied and staged
//! ([`state::run`]) -> a row on its way ([`settle`]) -> durable ([`durable`]) -> effects, answers.

mod activities;
mod answers;
mod attempts;
mod backlog;
mod children;
mod deliver;
mod describe;
mod durable;
mod failing;
mod hand_out;
mod histories;
mod loading;
mod matching;
mod memory;
pub(crate) mod message;
mod open_run;
mod ops;
mod parked;
mod reading;
mod remote;
mod requests;
mod settle;
mod shards;
mod start;
pub(crate) mod state;
mod tell;
mod timers;
mod undelivered;
mod untaken;
mod workers;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64},
    },
};

use foldhash::HashMap;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use history::{RunId, Timestamp};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::{
    clock::Clock,
    committer::{Command, Outcome},
    owner::{
        message::Message,
        state::{
            attempts::Noting, backlog::Backlog, histories::Histories, loading::Loading,
            matching::Matching, memory::Memory, parked::Parked, queues::Queues, reading::Reading,
            run::Run, shards::Shards, wake::Wake,
        },
    },
    peers::PeerClient,
    store::{Store, namespaces::Namespaces},
    words::{Key, Request, Told},
    world::World,
};

/// What an owner needs to begin.
#[derive(Debug)]
pub(crate) struct Setup {
    /// This member, and its number: each member and each time as one has another.
    pub(crate) member: Uuid,
    pub(crate) epoch: i64,
    /// Where the others find this one.
    pub(crate) address: Arc<str>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) world: World,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespaces: Namespaces,
    pub(crate) peers: PeerClient,
    pub(crate) memory_bytes: usize,
    pub(crate) park_after: std::time::Duration,
    /// Open runs that started before this moment (microseconds) have a row in `open_run`. Raised by the owner, written with the lease.
    pub(crate) open_since: Arc<AtomicI64>,
    /// There is no memory for more. Said by the owner, heard by whoever would bring more.
    pub(crate) full: Arc<AtomicBool>,
    pub(crate) tell: mpsc::UnboundedSender<Told>,
}

/// The owner's state.
pub(crate) struct Owner {
    setup: Setup,
    /// What is done elsewhere: reads, and what is to be tried again in a while.
    elsewhere: FuturesUnordered<BoxFuture<'static, Message>>,
    commits: mpsc::UnboundedSender<Command>,
    /// What the owner tells itself; done before anything else.
    local: VecDeque<Request>,
    runs: HashMap<RunId, Box<Run>>,
    /// The latest run of each workflow in memory.
    current: HashMap<Key, RunId>,
    /// What waits for a run that is being read.
    loading: HashMap<(Key, Option<RunId>), Loading>,
    queues: Queues,
    matching: Matching,
    shards: Shards,
    timers: BinaryHeap<Wake>,
    /// Runs whose staged records wait for a workflow task's commands, in the order of their deadlines.
    lingering: BinaryHeap<Reverse<(Instant, RunId)>>,
    /// What is to be written of attempts when it is still so in a while.
    noting: Noting,
    /// Runs whose workflow task failed and waits before it is tried again; one that does not any more costs a look.
    failing: BTreeSet<RunId>,
    memory: Memory,
    backlog: Backlog,
    reading: Reading,
    histories: Histories,
    parked: Parked,
    incarnations: u64,
    /// The moment in the latest run id.
    last_run_id_micros: i64,
    stopping: bool,
    /// Heartbeats that workers hold back may come until then; only after that everything is quiet.
    beats_until: Option<Instant>,
    /// Runs that had something under way when it was last looked at all of them.
    busy: Vec<RunId>,
}

/// How an owner hears, and how it commits.
pub(crate) struct Channels {
    pub(crate) inbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) commits: mpsc::UnboundedSender<Command>,
    pub(crate) outcomes: mpsc::UnboundedReceiver<Outcome>,
}

/// Owns until the committer or everybody else hangs up, to begin with these shards, whose open runs that started since may
/// have no row in `open_run`.
pub(crate) async fn run(setup: Setup, channels: Channels, shards: &[i16], shards_since: Timestamp) {
    let Channels {
        mut inbox,
        commits,
        mut outcomes,
    } = channels;
    let mut owner = Owner {
        elsewhere: FuturesUnordered::new(),
        commits,
        local: VecDeque::new(),
        runs: HashMap::default(),
        current: HashMap::default(),
        loading: HashMap::default(),
        queues: Queues::default(),
        matching: Matching::new(),
        shards: Shards::new(),
        timers: BinaryHeap::new(),
        lingering: BinaryHeap::new(),
        noting: Noting::default(),
        failing: BTreeSet::new(),
        memory: Memory::new(),
        backlog: Backlog::default(),
        reading: Reading::default(),
        histories: Histories::default(),
        parked: Parked::default(),
        incarnations: state::run::incarnations_of(setup.epoch),
        last_run_id_micros: 0,
        stopping: false,
        beats_until: None,
        busy: Vec::new(),
        setup,
    };
    owner.adopt(shards, shards_since);
    let (mut messages, mut committed) = (Vec::with_capacity(256), Vec::new());
    while !(owner.stopping && owner.is_quiet()) {
        let wait = tokio::time::sleep_until(owner.next_wake());
        tokio::select! {
            biased;
            Some(message) = owner.elsewhere.next(), if !owner.elsewhere.is_empty() => {
                owner.handle(message);
                owner.handle_local();
            }
            received = outcomes.recv_many(&mut committed, 256) => {
                if received == 0 {
                    break;
                }
                for outcome in committed.drain(..) {
                    owner.committed(outcome);
                    owner.handle_local();
                }
            }
            received = inbox.recv_many(&mut messages, 256) => {
                if received == 0 {
                    break;
                }
                for message in messages.drain(..) {
                    owner.handle(message);
                    owner.handle_local();
                }
            }
            () = wait => {}
        }
        owner.wake();
        owner.handle_local();
        owner.let_shards_go();
        owner.handle_local();
        owner.sweep_matching();
        owner.post_parcels();
    }
}

impl Owner {
    fn now(&self) -> Timestamp {
        self.setup.clock.now()
    }

    fn handle_local(&mut self) {
        while let Some(request) = self.local.pop_front() {
            self.request(request);
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Request(request) => self.request(request),
            Message::Connect {
                session,
                namespace,
                hello,
                tasks,
            } => self.connect(session, namespace, hello, tasks),
            Message::Worker { session, answer } => self.worker_answered(session, answer),
            Message::Disconnect { session } => self.disconnect(session),
            Message::Loaded {
                key,
                run_id,
                generation,
                loaded,
            } => {
                // Another member may have written since to what was read before its shard left.
                if generation == self.shards.generation(key.shard()) {
                    self.loaded(&key, run_id, loaded);
                }
            }
            Message::Adopt { shards, open_since } => self.adopt(&shards, open_since),
            Message::Hot { shards, runs } => self.hot(shards, runs),
            Message::GiveUp { shards } => self.give_up_shards(shards),
            Message::Elsewhere(places) => self.elsewhere(places),
            Message::Answered { request, answer } => self.answered_by_peer(*request, answer),
            Message::Members(members) => self.members(&members),
            // Whoever sent it sends it again when there is no answer.
            Message::Exchange { batch, reply } => drop(reply.send(self.exchange(*batch))),
            Message::Posted {
                member,
                number,
                receipt,
            } => self.posted(member, number, receipt),
            Message::Parked { window, page } => self.page_read(window, page),
            Message::HistoryRead { wanted, events } => self.history_read(wanted, events),
            Message::Read {
                read,
                cause,
                asked,
                part,
            } => self.all_read(read, cause, asked, part),
            // Whoever hung up does not want to know.
            Message::Untaken {
                namespace,
                asked,
                reply,
            } => drop(reply.send(self.untaken(&namespace, asked))),
            Message::Ready { reply } => self.shards.when_ready(reply),
            Message::Stop => {
                self.stopping = true;
                if self.want_heartbeats(|_| true) {
                    self.beats_until = Some(Instant::now() + BEATS_WAIT);
                }
                self.write_all_attempts();
            }
        }
    }

    /// Says whether nothing is under way. Those that were busy are asked first, so that not each message costs a look at all.
    fn is_quiet(&mut self) -> bool {
        fn is_busy(run: &Run) -> bool {
            !run.is_durable() || run.task.is_out()
        }
        if let Some(until) = self.beats_until {
            if Instant::now() < until {
                return false;
            }
            self.beats_until = None;
        }
        if self.matching.is_sending() || self.queues.has_outbox() {
            return false;
        }
        while let Some(run_id) = self.busy.last() {
            if self.runs.get(run_id).is_some_and(|run| is_busy(run)) {
                return false;
            }
            self.busy.pop();
        }
        let busy = self.runs.values().filter(|run| is_busy(run));
        self.busy = busy.map(|run| run.run_id()).collect();
        self.busy.is_empty()
    }
}

/// How long one that stops waits for the heartbeats that workers hold back.
const BEATS_WAIT: std::time::Duration = std::time::Duration::from_millis(200);
