//! What goes to workflows of shards that another member owns, and what it answers.

use std::sync::Arc;

use futures::FutureExt as _;

use crate::{
    Error,
    limits::PEER_PATIENCE,
    owner::{Owner, message::Message},
    peers::{PeerAnswer, PeerRequest},
    words::{Key, Op, Reply, RunKey, StartReply},
};

impl Owner {
    /// Sends a message to the member that has its shard, if it is from a workflow; others are told where to ask.
    pub(super) fn send_away(&mut self, address: Option<Arc<str>>, message: Message) {
        let Some(sender) = sender(&message) else {
            let owner = address.map(|address| address.to_string());
            return self.turn_away(message, Error::NotOwner { owner });
        };
        // A run that is not here any more delivers from where it is now.
        if !self.shards.has(sender.key.shard()) {
            return;
        }
        let (Some(address), Some(request)) = (address, request(&message)) else {
            let run_id = sender.run_id;
            return self.later(run_id, message);
        };
        let answer = self.setup.peers.ask(&address, request, PEER_PATIENCE);
        self.elsewhere.push(
            async move {
                let answer = answer.await.unwrap_or_else(|unreached| {
                    tracing::debug!(%unreached, "a message to another member is sent again");
                    PeerAnswer::Unavailable
                });
                Message::Answered {
                    message: Box::new(message),
                    answer,
                }
            }
            .boxed(),
        );
    }

    /// Tells a workflow the outcome of what it sent.
    pub(super) fn answered_by_peer(&mut self, message: Message, answer: PeerAnswer) {
        let Some(sender) = sender(&message).map(|sender| sender.run_id) else {
            return;
        };
        match message {
            Message::Start {
                namespace,
                request,
                reply,
            } => {
                let key = Key {
                    namespace: namespace.clone(),
                    workflow_id: request.workflow_id.clone(),
                };
                if let Some(answer) = answer.into_started(&key) {
                    return self.answer_start(reply, answer);
                }
                let message = Message::Start {
                    namespace,
                    request,
                    reply,
                };
                self.later(sender, message);
            }
            Message::On { key, run_id, op } => match (answer.into_delivered(&key), op) {
                (Some(answer), Op::Deliver { reply, .. }) => self.answer(reply, answer),
                (_, op) => self.later(sender, Message::On { key, run_id, op }),
            },
            _ => {}
        }
    }

    /// Says whether an answer is for what a run sent since it last delivered what was outstanding.
    pub(super) fn is_awaited(&self, sender: &RunKey) -> bool {
        self.runs
            .get(&sender.run_id)
            .is_none_or(|run| run.deliveries.round == sender.round)
    }
}

/// Returns the run that a message comes from.
fn sender(message: &Message) -> Option<&RunKey> {
    match message {
        Message::Start {
            reply: StartReply::Parent { parent, .. },
            ..
        } => Some(parent),
        Message::On {
            op: Op::Deliver { reply, .. },
            ..
        } => match reply {
            Reply::External { sender, .. } | Reply::Undelivered { sender, .. } => Some(sender),
            Reply::None | Reply::Caller(_) | Reply::Peer(_) => None,
        },
        _ => None,
    }
}

/// Returns a message as it is sent.
fn request(message: &Message) -> Option<PeerRequest> {
    match message {
        Message::Start {
            namespace, request, ..
        } => Some(PeerRequest::Start {
            namespace: namespace.name.clone(),
            start: request.clone(),
        }),
        Message::On {
            key,
            run_id,
            op:
                Op::Deliver {
                    delivery,
                    only_child_of,
                    ..
                },
        } => Some(PeerRequest::Deliver {
            namespace: key.namespace.name.clone(),
            workflow_id: key.workflow_id.clone(),
            run_id: *run_id,
            only_child_of: *only_child_of,
            delivery: delivery.clone(),
        }),
        _ => None,
    }
}
