//! What members tell each other of their workers and tasks.

use history::{
    BuildId, Namespace, TaskQueue,
    task::{FromWorker, ToWorker, WorkerHello},
};
use serde::{Deserialize, Serialize};

use crate::owner::queues::{Kind, SessionId};

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
