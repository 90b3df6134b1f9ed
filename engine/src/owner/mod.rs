//! The owner: folds, decides, matches tasks with workers, and tells everybody what became durable.
//!
//! One task, no locks. It never waits: what takes time (the database) is done elsewhere and comes back as
//! a message. The life of a request: a message -> [`history::decide`] -> records applied and staged
//! ([`run::Run`]) -> a row on its way ([`settle`]) -> durable ([`durable`]) -> effects, answers.

mod activities;
mod answers;
mod attempts;
mod backlog;
mod children;
mod debts;
mod deliver;
pub(crate) mod describe;
mod durable;
mod histories;
mod loading;
mod matching;
mod memory;
mod ops;
mod parked;
mod queues;
mod reading;
mod remote;
mod run;
mod settle;
mod shards;
mod start;
mod tell;
mod timers;
pub(crate) mod untaken;

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
use history::{
    EventId, RunId, Timestamp, WorkflowId,
    decide::{ChildClosed, RequestCancel, Signal, StartWorkflow, Terminate},
    event::{ExternalFailedCause, StartChildFailedCause},
    task::{FromWorker, Tasks, WorkerHello},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

pub(crate) use debts::Debt;
pub(crate) use matching::Batch;
pub(crate) use queues::SessionId;
pub use queues::{Starved, WhyStarved};
use run::Run;
pub use run::Unreadable;

use crate::{
    Closed, Description, Error, Started,
    clock::Clock,
    committer::{Command, Outcome},
    members::{Post, Told},
    peers,
    store::{
        self, Store,
        load::{Namespaces, Ns},
    },
    world::World,
};

/// Names a workflow inside the engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Ns,
    pub(crate) workflow_id: WorkflowId,
}

impl Key {
    pub(crate) fn shard(&self) -> i16 {
        crate::shard::of(&self.namespace.name, &self.workflow_id)
    }
}

/// One run, as others inside the engine address it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RunKey {
    pub(crate) key: Key,
    pub(crate) run_id: RunId,
    /// When it last delivered what was outstanding: an answer to what it sent before is not waited for.
    pub(crate) round: u64,
}

/// Who waits for a start.
#[derive(Debug)]
pub(crate) enum StartReply {
    /// A client, perhaps for the result as well.
    Caller {
        /// The answer to the start.
        reply: oneshot::Sender<Result<Started, Error>>,
        /// The end of the run.
        closed: Option<oneshot::Sender<Result<Closed, Error>>>,
    },
    /// A parent.
    Parent {
        /// The parent.
        parent: RunKey,
        /// Its initiated event.
        initiated_event_id: EventId,
        /// The start, to be sent again when the engine could not do it now.
        start: Box<StartWorkflow>,
        /// The child's namespace.
        namespace: Ns,
    },
}

/// Who waits for an operation.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nobody.
    None,
    /// A client.
    Caller(oneshot::Sender<Result<(), Error>>),
    /// A workflow of another member's shard.
    Peer(oneshot::Sender<Result<(), Error>>),
    /// A workflow that sent a signal or a cancellation.
    External {
        /// The sender.
        source: RunKey,
        /// Its initiated event.
        initiated_event_id: EventId,
        /// Whether it was a cancellation.
        cancel: bool,
    },
    /// A closed run that owed this.
    Debt { debtor: RunKey, debt: Debt },
}

/// What somebody is told who waits for it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What came of an operation.
    Operation {
        reply: Reply,
        answer: Result<(), Error>,
    },
    /// What came of a start.
    Start {
        reply: StartReply,
        answer: Result<Started, Error>,
    },
}

impl Answer {
    /// Returns an error for whoever waits.
    fn or(self, error: Error) -> Self {
        match self {
            Self::Operation { reply, .. } => Self::Operation {
                reply,
                answer: Err(error),
            },
            Self::Start { reply, .. } => Self::Start {
                reply,
                answer: Err(error),
            },
        }
    }

    /// Says whether it goes to a workflow of this member: what that writes of it finds out whether the member was replaced.
    fn is_for_own_workflow(&self) -> bool {
        match self {
            Self::Operation { reply, .. } => !matches!(reply, Reply::Caller(_) | Reply::Peer(_)),
            Self::Start { reply, .. } => matches!(reply, StartReply::Parent { .. }),
        }
    }
}

/// An operation on a workflow that exists.
#[derive(Debug)]
pub(crate) enum Op {
    Signal {
        signal: Box<Signal>,
        reply: Reply,
    },
    RequestCancel {
        cancel: Box<RequestCancel>,
        reply: Reply,
    },
    Terminate {
        terminate: Box<Terminate>,
        reply: Reply,
    },
    /// From another workflow, and only if it is the parent.
    OnlyChildOf {
        parent: RunId,
        op: Box<Op>,
    },
    Describe {
        reply: oneshot::Sender<Result<Description, Error>>,
    },
    WaitClosed {
        reply: oneshot::Sender<Result<Closed, Error>>,
    },
    WaitEvents {
        after: EventId,
        reply: oneshot::Sender<Result<Reached, Error>>,
    },
    Heard(Heard),
    ChildClosed {
        closed: Box<ChildClosed>,
        reply: Reply,
    },
    Worker {
        session: SessionId,
        answer: Box<FromWorker>,
    },
    /// A deadline may have passed, or it is loaded for what it still has to do.
    Look,
}

/// What came of something that a run had sent.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Its event in the sender's history.
    pub(crate) initiated_event_id: EventId,
    /// When it was sent: [`RunKey::round`].
    pub(crate) round: u64,
    pub(crate) outcome: Delivered,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Delivered {
    ChildStarted(RunId),
    ChildStartFailed(StartChildFailedCause),
    Signal(Result<(), ExternalFailedCause>),
    Cancel(Result<(), ExternalFailedCause>),
}

impl Op {
    /// Returns who waits for what came of it; a reader waits for more than that.
    fn reply(self) -> Option<Reply> {
        match self {
            Self::Signal { reply, .. }
            | Self::RequestCancel { reply, .. }
            | Self::Terminate { reply, .. }
            | Self::ChildClosed { reply, .. } => Some(reply),
            Self::OnlyChildOf { op, .. } => op.reply(),
            _ => None,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) run_id: RunId,
    /// The last durable event.
    pub(crate) last: EventId,
    /// Whether that event closed the run.
    pub(crate) closed: bool,
}

/// What the owner is told.
#[derive(Debug)]
pub(crate) enum Message {
    Start {
        namespace: Ns,
        request: Box<StartWorkflow>,
        reply: StartReply,
    },
    On {
        key: Key,
        run_id: Option<RunId>,
        op: Op,
    },
    Connect {
        session: SessionId,
        namespace: Ns,
        hello: WorkerHello,
        tasks: Tasks,
    },
    Worker {
        session: SessionId,
        answer: FromWorker,
    },
    Disconnect {
        session: SessionId,
    },
    Committed(Outcome),
    Loaded {
        key: Key,
        run_id: Option<RunId>,
        /// Of the shard, when it was asked.
        generation: u32,
        loaded: Result<Option<Box<store::load::Loaded>>, store::Error>,
    },
    /// These shards have become this member's.
    Adopt {
        shards: Vec<i16>,
        open_since: Timestamp,
    },
    /// Which runs of these shards are to be folded.
    Hot {
        shards: Vec<i16>,
        runs: Vec<(i16, RunId)>,
    },
    /// These shards are to go to other members.
    GiveUp {
        shards: Vec<i16>,
    },
    /// Where the shards are that are not this member's.
    Elsewhere(Vec<(i16, Option<Arc<str>>)>),
    /// Another member has answered what was sent to it, or has not.
    Answered {
        message: Box<Message>,
        answer: peers::Answer,
    },
    /// Who the other members are, and where.
    Members(Vec<(Uuid, Arc<str>)>),
    /// What another member tells of tasks and workers.
    Exchange {
        batch: Box<Batch>,
        reply: oneshot::Sender<peers::Receipt>,
    },
    /// What became of what was sent to another member; nothing if nobody knows.
    Posted {
        member: Uuid,
        number: matching::Number,
        receipt: Option<peers::Receipt>,
    },
    /// Deadlines of parked runs, read ahead.
    Parked {
        window: store::load::Window,
        page: Vec<store::load::Due>,
    },
    HistoryRead {
        wanted: histories::Wanted,
        events: Result<Vec<Arc<history::Event>>, store::Error>,
    },
    /// Runs that were asked for by their ids.
    Read {
        read: u64,
        cause: reading::Cause,
        asked: Vec<(i16, RunId)>,
        part: Result<store::load::Part, store::Error>,
    },
    /// Asks which runs have a task that no worker takes.
    Untaken {
        namespace: Ns,
        asked: Vec<untaken::Asked>,
        reply: oneshot::Sender<untaken::Untaken>,
    },
    /// Answer when all shards that were there to begin with are served.
    Ready {
        reply: oneshot::Sender<()>,
    },
    /// Commit what is under way, then end.
    Stop,
}

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
    pub(crate) post: Post,
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
    local: VecDeque<Message>,
    runs: HashMap<RunId, Box<Run>>,
    /// The latest run of each workflow in memory.
    current: HashMap<Key, RunId>,
    /// What waits for a run that is being read.
    loading: HashMap<(Key, Option<RunId>), loading::Loading>,
    queues: queues::Queues,
    matching: matching::Matching,
    shards: shards::Shards,
    timers: BinaryHeap<timers::Wake>,
    /// Runs whose staged records wait for a workflow task's commands, in the order of their deadlines.
    holds: BinaryHeap<Reverse<(Instant, RunId)>>,
    /// What is to be written of attempts when it is still so in a while.
    noting: attempts::Noting,
    /// Runs whose workflow task failed and waits before it is tried again; one that does not any more costs a look.
    failing: BTreeSet<RunId>,
    memory: memory::Memory,
    backlog: backlog::Backlog,
    reading: reading::Reading,
    histories: histories::Histories,
    parked: parked::Parked,
    incarnations: u64,
    /// The moment in the latest run id.
    last_run_id_micros: i64,
    stopping: bool,
    /// Heartbeats that workers hold back may come until then; only after that everything is quiet.
    beats_until: Option<Instant>,
    /// Runs that had something under way when it was last looked at all of them.
    busy: Vec<RunId>,
}

/// Owns until the committer or everybody else hangs up, to begin with these shards, whose open runs that started since may
/// have no row in `open_run`.
pub(crate) async fn run(
    setup: Setup,
    (shards, shards_since): (Vec<i16>, Timestamp),
    mut inbox: mpsc::UnboundedReceiver<Message>,
    commits: mpsc::UnboundedSender<Command>,
) {
    let mut owner = Owner {
        elsewhere: FuturesUnordered::new(),
        commits,
        local: VecDeque::new(),
        runs: HashMap::default(),
        current: HashMap::default(),
        loading: HashMap::default(),
        queues: queues::Queues::default(),
        matching: matching::Matching::new(),
        shards: shards::Shards::new(),
        timers: BinaryHeap::new(),
        holds: BinaryHeap::new(),
        noting: attempts::Noting::default(),
        failing: BTreeSet::new(),
        memory: memory::Memory::new(),
        backlog: backlog::Backlog::default(),
        reading: reading::Reading::default(),
        histories: histories::Histories::default(),
        parked: parked::Parked::default(),
        incarnations: run::incarnations_of(setup.epoch),
        last_run_id_micros: 0,
        stopping: false,
        beats_until: None,
        busy: Vec::new(),
        setup,
    };
    owner.adopt(&shards, shards_since);
    let mut messages = Vec::with_capacity(256);
    while !(owner.stopping && owner.is_quiet()) {
        let wait = tokio::time::sleep_until(owner.next_wake());
        tokio::select! {
            biased;
            Some(message) = owner.elsewhere.next(), if !owner.elsewhere.is_empty() => {
                owner.handle(message);
                owner.handle_local();
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
        while let Some(message) = self.local.pop_front() {
            self.handle(message);
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Start { reply, .. } if self.stopping => {
                self.answer_start(reply, Err(STOPPING));
            }
            Message::Start {
                namespace,
                request,
                reply,
            } => self.start(namespace, request, reply),
            Message::On { key, run_id, op } => self.on(key, run_id, op),
            Message::Connect {
                session,
                namespace,
                hello,
                tasks,
            } => self.connect(session, namespace, hello, tasks),
            Message::Worker { session, answer } => self.worker_answered(session, answer),
            Message::Disconnect { session } => self.disconnect(session),
            Message::Committed(outcome) => self.committed(outcome),
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
            Message::Answered { message, answer } => self.answered_by_peer(*message, answer),
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
            !run.is_durable() || run.task_out.is_some()
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

/// The answer to new work while the process stops.
const STOPPING: Error = Error::Unavailable("the engine is stopping");
