//! What a step on a run has at hand: all that the owner has but the other runs.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64},
    },
};

use futures::{future::BoxFuture, stream::FuturesUnordered};
use history::{RunId, Timestamp};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::{
    Error,
    clock::Clock,
    committer::Command,
    feed::Tail,
    owner::{
        message::Message,
        state::{
            attempts::Noting,
            backlog::Backlog,
            histories::Histories,
            matching::Matching,
            memory::Memory,
            parked::Parked,
            queues::Queues,
            reading::Reading,
            run::{Run, incarnations_of},
            shards::Shards,
            wake::Wake,
        },
    },
    peers::PeerClient,
    store::{Store, namespaces::Namespaces},
    words::{Answer, QueueKey, Request, SessionId, Told},
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
    /// Where those hear of what is committed who follow it in this process.
    pub(crate) tail: Arc<Tail>,
}

/// What a step on a run has at hand.
pub(super) struct Context {
    pub(super) setup: Setup,
    /// What is done elsewhere: reads, and what is to be tried again in a while.
    pub(super) elsewhere: FuturesUnordered<BoxFuture<'static, Message>>,
    pub(super) commits: mpsc::UnboundedSender<Command>,
    /// What the owner tells itself; done before it hears of anything else.
    pub(super) local: VecDeque<Request>,
    /// What follows the step, on other runs.
    pub(super) next: VecDeque<Next>,
    pub(super) queues: Queues,
    pub(super) matching: Matching,
    pub(super) shards: Shards,
    pub(super) timers: BinaryHeap<Wake>,
    /// Runs whose staged records wait for a workflow task's commands, in the order of their deadlines.
    pub(super) lingering: BinaryHeap<Reverse<(Instant, RunId)>>,
    /// What is to be written of attempts when it is still so in a while.
    pub(super) noting: Noting,
    /// Runs whose workflow task failed and waits before it is tried again; one that does not any more costs a look.
    pub(super) failing: BTreeSet<RunId>,
    pub(super) memory: Memory,
    pub(super) backlog: Backlog,
    pub(super) reading: Reading,
    pub(super) histories: Histories,
    pub(super) parked: Parked,
    /// The number of the latest folding, or round of deliveries.
    pub(super) incarnations: u64,
    /// The moment in the latest run id.
    pub(super) last_run_id_micros: i64,
    pub(super) stopping: bool,
    /// Heartbeats that workers hold back may come until then; only after that everything is quiet.
    pub(super) beats_until: Option<Instant>,
}

/// What follows a step, on other runs: done when it has ended. What asks for it outside a step has it done with the next one, or before
/// the owner hears of anything else.
#[derive(Debug)]
pub(super) enum Next {
    /// A run has begun whose start is on its way with the close of the one before.
    Began(Box<Run>),
    /// This worker is gone.
    Gone(SessionId),
    /// Workers of this task queue have slots free.
    Refill(QueueKey),
    /// Whole histories are wanted.
    ReadHistories,
    /// Among the runs whose workflow task waits for other code are many that may have gone on.
    KeepFailing,
    /// Somebody is to hear what has come of something.
    Tell(Answer),
}

/// What a step comes to.
pub(super) type Step<T = ()> = Result<T, FoldAgain>;

/// A run can't go on, and this is why. Nothing more is done with what is in memory of it: it is folded again from what is durable.
#[derive(Debug)]
pub(super) struct FoldAgain(pub(super) &'static str);

/// What whoever waits for a run hears that can't go on.
pub(super) const FOLDED_AGAIN: Error = Error::Unavailable("the workflow was folded again");

impl Context {
    pub(super) fn new(setup: Setup, commits: mpsc::UnboundedSender<Command>) -> Self {
        Self {
            elsewhere: FuturesUnordered::new(),
            commits,
            local: VecDeque::new(),
            next: VecDeque::new(),
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
            incarnations: incarnations_of(setup.epoch),
            last_run_id_micros: 0,
            stopping: false,
            beats_until: None,
            setup,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.setup.clock.now()
    }

    /// Tells somebody what has come of something, when the step has ended.
    pub(super) fn tell_next(&mut self, answer: Answer) {
        self.next.push_back(Next::Tell(answer));
    }
}
