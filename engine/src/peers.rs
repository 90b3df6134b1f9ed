//! What members tell each other: requests for workflows of shards that another member owns, and that something has changed.
//!
//! A request is answered when what it did is durable. Whoever gets no answer sends it again; receivers know what they have had.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use history::{
    Namespace, RunId, WorkflowId,
    decide::{ChildClosed, Rejection, RequestCancel, Signal, StartWorkflow, Terminate},
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Error, Started,
    owner::{
        Batch, Key, Message, Op, Reply, StartReply,
        untaken::{Asked, UntakenTask},
    },
    ownership::State,
    store::load::Namespaces,
};

/// The way to the other members.
pub trait Peers: fmt::Debug + Send + Sync {
    /// Takes a letter to the member at an address, and returns what [`crate::Engine::deliver`] answers there.
    fn send(&self, address: &str, letter: String) -> BoxFuture<'static, Result<String, Unreached>>;
}

/// Nothing is known of what became of a letter.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the member can't be reached: {0}")]
pub struct Unreached(pub String);

/// No way to anybody: for a process that is alone.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Peers for Nobody {
    fn send(
        &self,
        address: &str,
        _letter: String,
    ) -> BoxFuture<'static, Result<String, Unreached>> {
        let problem = format!("there is no way to {address}");
        Box::pin(std::future::ready(Err(Unreached(problem))))
    }
}

/// What is sent: a request, and proof that it comes from a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// The secret of this database's members.
    pub(crate) secret: Uuid,
    pub(crate) request: Request,
}

/// What one member asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The members or the owners of shards have changed.
    Look,
    /// Starts a child.
    Start {
        namespace: Namespace,
        start: Box<StartWorkflow>,
    },
    /// Does something to a workflow, or, if so told, only to a child of a run.
    To {
        namespace: Namespace,
        workflow_id: WorkflowId,
        run_id: Option<RunId>,
        only_child_of: Option<RunId>,
        what: What,
    },
    /// Tells of tasks and workers.
    Exchange(Box<Batch>),
    /// Asks which of these runs have a task that no worker takes.
    Untaken {
        namespace: Namespace,
        asked: Vec<Asked>,
    },
}

/// What is done to a workflow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    Signal(Box<Signal>),
    RequestCancel(Box<RequestCancel>),
    Terminate(Box<Terminate>),
    ChildClosed(Box<ChildClosed>),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done and durable.
    Done,
    /// This run means the start, and whether this request started it.
    Started { run_id: RunId, started: bool },
    /// There is no such namespace.
    NoNamespace,
    /// The workflow takes no more signals.
    TooManySignals(usize),
    /// There is no such workflow, or it does not take this any more.
    NotThere,
    /// The id is taken.
    Taken,
    /// Nothing is known to have been done.
    Again,
    /// What became of a batch.
    Exchanged(Receipt),
    /// The tasks that no worker takes.
    Untaken(Vec<(RunId, UntakenTask)>),
}

/// What became of a batch of what members tell each other of tasks and workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Receipt {
    /// It was taken, now or before.
    Taken,
    /// It is of a round that is over; the receiver is in this one.
    Void(u64),
    /// It is for another member than this one.
    Stranger,
}

impl Answer {
    fn of(answer: Result<Self, Error>) -> Self {
        match answer {
            Ok(answer) => answer,
            Err(Error::NamespaceNotFound(_)) => Self::NoNamespace,
            Err(Error::Rejected(Rejection::TooManySignals(most))) => Self::TooManySignals(most),
            Err(Error::Rejected(
                Rejection::WorkflowAlreadyStarted { .. } | Rejection::WorkflowIdReuseRefused { .. },
            )) => Self::Taken,
            Err(Error::WorkflowNotFound { .. } | Error::Rejected(_)) => Self::NotThere,
            Err(_) => Self::Again,
        }
    }

    /// Returns what it says of a request on a workflow; `None` when it is to be sent again.
    pub(crate) fn into_operation(self, key: &Key) -> Option<Result<(), Error>> {
        match self {
            Self::Done => Some(Ok(())),
            other => other.problem(key).map(Err),
        }
    }

    /// Returns what it says of a start; `None` when it is to be sent again.
    pub(crate) fn into_start(self, key: &Key) -> Option<Result<Started, Error>> {
        match self {
            Self::Started { run_id, started } => Some(Ok(Started { run_id, started })),
            other => other.problem(key).map(Err),
        }
    }

    fn problem(self, key: &Key) -> Option<Error> {
        let not_there = || Error::WorkflowNotFound {
            workflow_id: key.workflow_id.clone(),
            run_id: None,
        };
        match self {
            Self::NoNamespace => Some(Error::NamespaceNotFound(key.namespace.name.clone())),
            Self::TooManySignals(most) => Some(Rejection::TooManySignals(most).into()),
            Self::NotThere => Some(not_there()),
            Self::Taken => Some(
                Rejection::WorkflowAlreadyStarted {
                    workflow_id: key.workflow_id.clone(),
                    run_id: RunId(Uuid::nil()),
                }
                .into(),
            ),
            Self::Done
            | Self::Started { .. }
            | Self::Again
            | Self::Exchanged(_)
            | Self::Untaken(_) => None,
        }
    }
}

/// Does what another member asks for, and answers when that is durable.
pub(crate) async fn receive(state: State, namespaces: &Namespaces, request: Request) -> Answer {
    let (sender, look) = match (state, &request) {
        (State::Member { sender, look, .. }, _) => (sender, look),
        (State::Leaving { sender }, Request::Exchange(_)) => (sender, Arc::default()),
        (State::Leaving { .. } | State::Outside { .. }, _) => return Answer::Again,
    };
    let lost = |()| Error::Unavailable("the engine lost its shards");
    let answer = match request {
        Request::Look => {
            look.notify_one();
            return Answer::Done;
        }
        Request::Exchange(batch) => {
            let (reply, receipt) = oneshot::channel();
            // When the owner has ended, the answer fails as well.
            let _ = sender.send(Message::Exchange { batch, reply });
            receipt.await.map(Answer::Exchanged).map_err(|_| lost(()))
        }
        Request::Untaken { namespace, asked } => {
            async {
                let namespace = namespaces.get(&namespace)?;
                let (reply, answer) = oneshot::channel();
                // When the owner has ended, the answer fails as well.
                let _ = sender.send(Message::Untaken {
                    namespace,
                    asked,
                    reply,
                });
                let untaken = answer.await.map_err(|_| lost(()))?;
                Ok(Answer::Untaken(untaken.found))
            }
            .await
        }
        Request::Start { namespace, start } => {
            async {
                let namespace = namespaces.get(&namespace)?;
                let (reply, answer) = oneshot::channel();
                // When the owner has ended, the answer fails as well.
                let _ = sender.send(Message::Start {
                    namespace,
                    request: start,
                    reply: StartReply::Caller {
                        reply,
                        closed: None,
                    },
                });
                let Started { run_id, started } = answer.await.map_err(|_| lost(()))??;
                Ok(Answer::Started { run_id, started })
            }
            .await
        }
        Request::To {
            namespace,
            workflow_id,
            run_id,
            only_child_of,
            what,
        } => {
            async {
                let key = Key {
                    namespace: namespaces.get(&namespace)?,
                    workflow_id,
                };
                let (reply, answer) = oneshot::channel();
                let reply = Reply::Peer(reply);
                let op = match what {
                    What::Signal(signal) => Op::Signal { signal, reply },
                    What::RequestCancel(cancel) => Op::RequestCancel { cancel, reply },
                    What::Terminate(terminate) => Op::Terminate { terminate, reply },
                    What::ChildClosed(closed) => Op::ChildClosed { closed, reply },
                };
                let op = match only_child_of {
                    Some(parent) => Op::OnlyChildOf {
                        parent,
                        op: Box::new(op),
                    },
                    None => op,
                };
                let _ = sender.send(Message::On { key, run_id, op });
                answer.await.map_err(|_| lost(()))??;
                Ok(Answer::Done)
            }
            .await
        }
    };
    Answer::of(answer)
}
