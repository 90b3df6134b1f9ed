//! The owner: folds, decides, matches tasks with workers, and tells everybody what became durable.
//!
//! One task, no locks. What changes a run is a step ([`step`]), which has all that the owner has but the other runs ([`context`]); what only
//! looks at runs, or takes them out of memory, goes over all of them.
//! The owner never waits: what takes time (the database) is done elsewhere and comes back as
//! a message. The life of a request: a message -> [`history::decide`] -> records applied and staged
//! ([`state::run`]) -> a row on its way ([`settle`]) -> durable ([`durable`]) -> effects, answers.

mod activities;
mod answers;
mod attempts;
mod backlog;
mod children;
mod context;
mod deliver;
mod describe;
mod durable;
mod failing;
mod folding_again;
mod hand_out;
mod histories;
mod loading;
mod log_timeouts;
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
mod step;
mod timers;
mod undelivered;
mod untaken;
mod workers;

use foldhash::HashMap;
use futures::StreamExt as _;
use history::{RunId, Timestamp};
use tokio::{sync::mpsc, time::Instant};

pub(crate) use crate::owner::context::Setup;
use crate::{
    committer::{Command, Outcome},
    owner::{
        context::Context,
        message::Message,
        state::{loading::Loading, run::Run},
    },
    words::Key,
};

/// The owner's state.
pub(crate) struct Owner {
    runs: HashMap<RunId, Box<Run>>,
    /// The latest run of each workflow in memory.
    current: HashMap<Key, RunId>,
    /// What waits for a run that is being read.
    loading: HashMap<(Key, Option<RunId>), Loading>,
    /// The run that was read last, while what has waited for it is handled: until then it stays.
    just_read: Option<RunId>,
    /// Runs that had something under way when it was last looked at all of them.
    busy: Vec<RunId>,
    context: Context,
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
        runs: HashMap::default(),
        current: HashMap::default(),
        loading: HashMap::default(),
        just_read: None,
        busy: Vec::new(),
        context: Context::new(setup, commits),
    };
    owner.context.adopt(shards, shards_since);
    let (mut messages, mut committed) = (Vec::with_capacity(256), Vec::new());
    while !(owner.context.stopping && owner.is_quiet()) {
        let wait = tokio::time::sleep_until(owner.context.next_wake());
        tokio::select! {
            biased;
            Some(message) = owner.context.elsewhere.next(), if !owner.context.elsewhere.is_empty() => {
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
        owner.context.sweep_matching();
        owner.context.post_parcels();
    }
}

impl Owner {
    fn handle_local(&mut self) {
        self.follow_up();
        while let Some(request) = self.context.local.pop_front() {
            self.request(request);
            self.follow_up();
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
                if generation == self.context.shards.generation(key.shard()) {
                    self.loaded(&key, run_id, loaded);
                }
            }
            Message::Adopt { shards, open_since } => self.context.adopt(&shards, open_since),
            Message::Hot { shards, runs } => self.context.hot(shards, runs),
            Message::GiveUp { shards } => self.give_up_shards(shards),
            Message::Elsewhere(places) => self.context.note_places(places),
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
            // Whoever asks next finds them.
            Message::NamespacesRead => {}
            Message::Ready { reply } => self.context.shards.when_ready(reply),
            Message::Stop => {
                self.context.stopping = true;
                if self.want_heartbeats(|_| true) {
                    self.context.beats_until = Some(Instant::now() + BEATS_WAIT);
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
        if let Some(until) = self.context.beats_until {
            if Instant::now() < until {
                return false;
            }
            self.context.beats_until = None;
        }
        if self.context.matching.is_sending() || self.context.queues.has_outbox() {
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
