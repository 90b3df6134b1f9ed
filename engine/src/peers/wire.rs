//! What one member asks of another, as it is sent.

use history::{
    Namespace, RunId, WorkflowId,
    decide::{Rejection, StartWorkflow},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error, Started, UntakenTask,
    peers::Batch,
    words::{Asked, Delivery, Key},
};

/// What is sent: a request, and proof that it comes from a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FromMember {
    /// The secret of this database's members.
    pub(crate) secret: Uuid,
    pub(crate) request: PeerRequest,
}

/// What one member asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    /// The members or the owners of shards have changed.
    Look,
    /// Starts a child.
    Start {
        namespace: Namespace,
        start: Box<StartWorkflow>,
    },
    /// Brings something to a workflow or, if so told, only to a child of a run.
    Deliver {
        namespace: Namespace,
        workflow_id: WorkflowId,
        run_id: Option<RunId>,
        only_child_of: Option<RunId>,
        delivery: Delivery,
    },
    /// Tells of tasks and workers.
    Exchange(Box<Batch>),
    /// Asks which of these runs have a task that no worker takes.
    Untaken {
        namespace: Namespace,
        asked: Vec<Asked>,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeerAnswer {
    /// It is done and durable.
    Done,
    /// This run means the start, and whether this request started it.
    Started { run_id: RunId, started: bool },
    /// There is no such namespace.
    NamespaceNotFound,
    /// The workflow takes no more signals.
    TooManySignals(usize),
    /// There is no such workflow, or it does not take this any more.
    WorkflowNotFound,
    /// The id means this run, and no other may start.
    AlreadyStarted { run_id: RunId },
    /// Nothing is known to have been done: the request is to be sent again.
    Unavailable,
    /// The receipt for a batch.
    Exchanged(Receipt),
    /// The tasks that no worker takes.
    Untaken(Vec<(RunId, UntakenTask)>),
}

/// What a member answers to a batch of what members tell each other of tasks and workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Receipt {
    /// It was taken, now or before.
    Taken,
    /// It is of a round that is over; the receiver is in this one.
    Void(u64),
    /// It is for another member than this one.
    Stranger,
}

impl PeerAnswer {
    pub(crate) fn of(answer: Result<Self, Error>) -> Self {
        match answer {
            Ok(answer) => answer,
            Err(Error::NamespaceNotFound(_)) => Self::NamespaceNotFound,
            Err(Error::Rejected(Rejection::TooManySignals(most))) => Self::TooManySignals(most),
            Err(Error::Rejected(
                Rejection::WorkflowAlreadyStarted { run_id, .. }
                | Rejection::WorkflowIdReuseRefused { run_id, .. },
            )) => Self::AlreadyStarted { run_id },
            Err(Error::WorkflowNotFound { .. } | Error::Rejected(_)) => Self::WorkflowNotFound,
            Err(_) => Self::Unavailable,
        }
    }

    /// Returns what it says of a delivery; `None` when that is to be sent again.
    pub(crate) fn into_delivered(self, key: &Key) -> Option<Result<(), Error>> {
        match self {
            Self::Done => Some(Ok(())),
            other => other.problem(key).map(Err),
        }
    }

    /// Returns what it says of a start; `None` when that is to be sent again.
    pub(crate) fn into_started(self, key: &Key) -> Option<Result<Started, Error>> {
        match self {
            Self::Started { run_id, started } => Some(Ok(Started { run_id, started })),
            other => other.problem(key).map(Err),
        }
    }

    fn problem(self, key: &Key) -> Option<Error> {
        let workflow_id = || key.workflow_id.clone();
        match self {
            Self::NamespaceNotFound => Some(Error::NamespaceNotFound(key.namespace.name.clone())),
            Self::TooManySignals(most) => Some(Rejection::TooManySignals(most).into()),
            Self::WorkflowNotFound => Some(Error::WorkflowNotFound {
                workflow_id: workflow_id(),
                run_id: None,
            }),
            Self::AlreadyStarted { run_id } => Some(
                Rejection::WorkflowAlreadyStarted {
                    workflow_id: workflow_id(),
                    run_id,
                }
                .into(),
            ),
            Self::Done
            | Self::Started { .. }
            | Self::Unavailable
            | Self::Exchanged(_)
            | Self::Untaken(_) => None,
        }
    }
}
