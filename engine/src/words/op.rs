//! What is done to a workflow, and who waits for the answer.

use history::{EventId, RunId, decide::StartWorkflow, task::FromWorker};
use tokio::sync::oneshot;

use crate::{
    Closed, Description, Error, Started,
    store::namespaces::Ns,
    words::{Delivery, DeliveryReport, ExternalKind, Key, Reached, RunKey, SessionId, Undelivered},
};

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
        sender: RunKey,
        /// Its initiated event.
        initiated_event_id: EventId,
        kind: ExternalKind,
    },
    /// A closed run that had this to deliver.
    Undelivered { sender: RunKey, what: Undelivered },
}

/// What somebody is told who waits for it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The outcome of an operation.
    Operation {
        reply: Reply,
        answer: Result<(), Error>,
    },
    /// The outcome of a start.
    Start {
        reply: StartReply,
        answer: Result<Started, Error>,
    },
}

impl Answer {
    /// Returns an error for whoever waits.
    pub(crate) fn or(self, error: Error) -> Self {
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

    /// Says whether nobody waits for it: a run decided by itself.
    pub(crate) fn is_for_nobody(&self) -> bool {
        matches!(
            self,
            Self::Operation {
                reply: Reply::None,
                ..
            }
        )
    }

    /// Says whether it goes to a workflow of this member: what that writes of it finds out whether the member was replaced.
    pub(crate) fn is_for_own_workflow(&self) -> bool {
        match self {
            Self::Operation { reply, .. } => !matches!(reply, Reply::Caller(_) | Reply::Peer(_)),
            Self::Start { reply, .. } => matches!(reply, StartReply::Parent { .. }),
        }
    }
}

/// What is asked of one workflow.
#[derive(Debug)]
pub(crate) enum Request {
    Start {
        namespace: Ns,
        request: Box<StartWorkflow>,
        reply: StartReply,
    },
    /// An operation on a workflow that exists: on that run of it, or the latest.
    On {
        key: Key,
        run_id: Option<RunId>,
        op: Op,
    },
}

impl Request {
    /// Has a run looked at.
    pub(crate) fn look(key: Key, run_id: RunId) -> Self {
        Self::On {
            key,
            run_id: Some(run_id),
            op: Op::Look,
        }
    }

    /// Returns the shard of the workflow.
    pub(crate) fn shard(&self) -> i16 {
        match self {
            Self::Start {
                namespace, request, ..
            } => crate::shard::of(&namespace.name, &request.workflow_id),
            Self::On { key, .. } => key.shard(),
        }
    }

    /// Returns the run that it comes from, if a workflow has sent it.
    pub(crate) fn sender(&self) -> Option<&RunKey> {
        match self {
            Self::Start { reply, .. } => match reply {
                StartReply::Parent { parent, .. } => Some(parent),
                StartReply::Caller { .. } => None,
            },
            Self::On { op, .. } => match op {
                Op::Deliver { reply, .. } => match reply {
                    Reply::External { sender, .. } | Reply::Undelivered { sender, .. } => {
                        Some(sender)
                    }
                    Reply::None | Reply::Caller(_) | Reply::Peer(_) => None,
                },
                Op::Describe { .. }
                | Op::WaitClosed { .. }
                | Op::WaitEvents { .. }
                | Op::Report(_)
                | Op::Worker { .. }
                | Op::Look => None,
            },
        }
    }

    /// Says whether it comes from inside this process, and lets a run come to an end rather than begin something.
    pub(crate) fn is_from_inside(&self) -> bool {
        match self {
            Self::Start { .. } => false,
            Self::On { op, .. } => match op {
                Op::Worker { .. } | Op::Look | Op::Report(_) => true,
                Op::Deliver { .. }
                | Op::Describe { .. }
                | Op::WaitClosed { .. }
                | Op::WaitEvents { .. } => false,
            },
        }
    }
}

/// An operation on a workflow that exists.
#[derive(Debug)]
pub(crate) enum Op {
    Deliver {
        delivery: Delivery,
        /// From this parent, and only if it is one of its children.
        only_child_of: Option<RunId>,
        reply: Reply,
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
    Report(DeliveryReport),
    Worker {
        session: SessionId,
        answer: Box<FromWorker>,
    },
    /// A deadline may have passed, or it is loaded for what it still has to do.
    Look,
}

impl Op {
    /// Returns what a client asks of a workflow.
    pub(crate) fn of_client(delivery: Delivery, reply: oneshot::Sender<Result<(), Error>>) -> Self {
        Self::Deliver {
            delivery,
            only_child_of: None,
            reply: Reply::Caller(reply),
        }
    }
}
