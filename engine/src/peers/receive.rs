//! Does what another member asks for.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Started,
    membership::Membership,
    owner::message::Message,
    peers::{PeerAnswer, PeerRequest},
    store::namespaces::Namespaces,
    words::{Key, Op, Reply, Request, StartReply},
};

/// Does what another member asks for, and answers when that is durable.
pub(crate) async fn receive(
    state: Membership,
    namespaces: &Namespaces,
    request: PeerRequest,
) -> PeerAnswer {
    let (owner, look) = match (state, &request) {
        (Membership::Member { sender, look, .. }, _) => (sender, look),
        (Membership::Leaving { sender }, PeerRequest::Exchange(_)) => (sender, Arc::default()),
        (Membership::Leaving { .. } | Membership::Outside { .. }, _) => {
            return PeerAnswer::Unavailable;
        }
    };
    if matches!(request, PeerRequest::Look) {
        look.notify_one();
        return PeerAnswer::Done;
    }
    PeerAnswer::of(answer(&owner, namespaces, request).await)
}

async fn answer(
    owner: &mpsc::UnboundedSender<Message>,
    namespaces: &Namespaces,
    request: PeerRequest,
) -> Result<PeerAnswer, Error> {
    match request {
        PeerRequest::Look => Ok(PeerAnswer::Done),
        PeerRequest::Exchange(batch) => {
            let receipt = ask(owner, |reply| Message::Exchange { batch, reply });
            Ok(PeerAnswer::Exchanged(receipt.await?))
        }
        PeerRequest::Untaken { namespace, asked } => {
            let namespace = namespaces.get(&namespace)?;
            let untaken = ask(owner, |reply| Message::Untaken {
                namespace,
                asked,
                reply,
            });
            Ok(PeerAnswer::Untaken(untaken.await?.found))
        }
        PeerRequest::Start {
            namespace,
            start: request,
        } => {
            let namespace = namespaces.get(&namespace)?;
            let started = ask(owner, |reply| {
                Message::Request(Request::Start {
                    namespace,
                    request,
                    reply: StartReply::Caller {
                        reply,
                        closed: None,
                    },
                })
            });
            let Started { run_id, started } = started.await??;
            Ok(PeerAnswer::Started { run_id, started })
        }
        PeerRequest::Deliver {
            namespace,
            workflow_id,
            run_id,
            only_child_of,
            delivery,
        } => {
            let key = Key {
                namespace: namespaces.get(&namespace)?,
                workflow_id,
            };
            let op = |reply| Op::Deliver {
                delivery,
                only_child_of,
                reply: Reply::Peer(reply),
            };
            let delivered = ask(owner, |reply| {
                Message::Request(Request::On {
                    key,
                    run_id,
                    op: op(reply),
                })
            });
            delivered.await??;
            Ok(PeerAnswer::Done)
        }
    }
}

/// Asks the owner, which may have ended: then there is no answer.
async fn ask<T>(
    owner: &mpsc::UnboundedSender<Message>,
    message: impl FnOnce(oneshot::Sender<T>) -> Message,
) -> Result<T, Error> {
    let (reply, answer) = oneshot::channel();
    // When the owner has ended, the answer fails as well.
    let _ = owner.send(message(reply));
    answer
        .await
        .map_err(|_| Error::Unavailable("the engine lost its shards"))
}
