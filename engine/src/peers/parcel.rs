//! What members tell each other of their workers and tasks.

use history::{
    BuildId, Namespace, TaskQueue,
    task::{FromWorker, ToWorker, WorkerHello},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::words::{Kind, SessionId};

/// One thing that a member tells another. The first three are from a member that has tasks, the others from one that has a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Parcel {
    /// So many tasks wait in a queue for a slot. Zero: none any more.
    Demand {
        namespace: Namespace,
        task_queue: TaskQueue,
        kind: Kind,
        waiting: u32,
    },
    /// For a worker: a task takes one of the slots that were granted.
    Task {
        session: SessionId,
        message: Box<ToWorker>,
    },
    /// These slots are not needed.
    Return {
        session: SessionId,
        kind: Kind,
        slots: u32,
    },
    /// How many workers take from a queue that was asked for.
    Pollers {
        namespace: Namespace,
        task_queue: TaskQueue,
        kind: Kind,
        pollers: u32,
    },
    /// These slots of a worker may be used.
    Grant {
        session: SessionId,
        hello: WorkerHello,
        kind: Kind,
        slots: u32,
    },
    /// Of a worker.
    Answer {
        session: SessionId,
        answer: Box<FromWorker>,
        /// Whether the slot of the answered task may be used again.
        keeps: bool,
    },
    /// Somebody else waits: slots that are not in use are to be returned.
    Recall { session: SessionId, kind: Kind },
    /// A worker of this code takes workflow tasks from a queue since now.
    Came {
        namespace: Namespace,
        task_queue: TaskQueue,
        build_id: BuildId,
    },
    /// The worker takes no new tasks.
    Draining { session: SessionId },
    /// The worker is gone.
    Gone { session: SessionId },
}

/// What one member sends another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Who sends it.
    pub(crate) from: Uuid,
    /// Where that is.
    pub(crate) address: String,
    /// Who is meant: a process that is a member again has another id.
    pub(crate) to: Uuid,
    /// The sender's round.
    pub(crate) round: u64,
    /// The receiver's, as the sender knows it.
    pub(crate) their_round: u64,
    /// Counts the batches of these rounds, from 1.
    pub(crate) number: u64,
    pub(crate) pieces: Vec<Piece>,
}

/// A parcel, or a part of one that is too large for a batch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    Whole(Box<RawValue>),
    /// More of it follows.
    Part(String),
    /// The end of it.
    Last(String),
}

/// Names a batch among all of a link.
pub(crate) type Number = (u64, u64, u64);

impl Piece {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Whole(parcel) => parcel.get().len(),
            Self::Part(part) | Self::Last(part) => part.len(),
        }
    }
}
