//! What the owner is told.

use std::sync::Arc;

use history::{
    Event, RunId, Timestamp,
    task::{FromWorker, Tasks, WorkerHello},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    owner::state::{histories::Wanted, reading::Cause},
    peers::{Batch, Number, PeerAnswer, Receipt},
    store::{
        self, RunRef,
        load::{Due, Loaded, Part, Window},
        namespaces::Ns,
    },
    words::{Asked, Key, Request, SessionId, Untaken},
};

/// What the owner is told.
#[derive(Debug)]
pub(crate) enum Message {
    Request(Request),
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
    Loaded {
        key: Key,
        run_id: Option<RunId>,
        /// Of the shard, when it was asked.
        generation: u32,
        loaded: Result<Option<Box<Loaded>>, store::Error>,
    },
    /// These shards have become this member's.
    Adopt {
        shards: Vec<i16>,
        open_since: Timestamp,
    },
    /// Which runs of these shards are to be folded.
    Hot {
        shards: Vec<i16>,
        runs: Vec<RunRef>,
    },
    /// These shards are to go to other members.
    GiveUp {
        shards: Vec<i16>,
    },
    /// Where the shards are that are not this member's.
    Elsewhere(Vec<(i16, Option<Arc<str>>)>),
    /// Another member has answered what was sent to it, or has not.
    Answered {
        request: Box<Request>,
        answer: PeerAnswer,
    },
    /// Who the other members are, and where.
    Members(Vec<(Uuid, Arc<str>)>),
    /// What another member tells of tasks and workers.
    Exchange {
        batch: Box<Batch>,
        reply: oneshot::Sender<Receipt>,
    },
    /// The receipt for what was sent to another member; none if nobody knows.
    Posted {
        member: Uuid,
        number: Number,
        receipt: Option<Receipt>,
    },
    /// Deadlines of parked runs, read ahead.
    Parked {
        window: Window,
        page: Vec<Due>,
    },
    HistoryRead {
        wanted: Wanted,
        events: Result<Vec<Arc<Event>>, store::Error>,
    },
    /// Runs that were asked for by their ids.
    Read {
        read: u64,
        cause: Cause,
        asked: Vec<RunRef>,
        part: Result<Part, store::Error>,
    },
    /// Asks which runs have a task that no worker takes.
    Untaken {
        namespace: Ns,
        asked: Vec<Asked>,
        reply: oneshot::Sender<Untaken>,
    },
    /// The namespaces were read again.
    NamespacesRead,
    /// Answer when all shards that were there to begin with are served.
    Ready {
        reply: oneshot::Sender<()>,
    },
    /// Commit what is under way, then end.
    Stop,
}
