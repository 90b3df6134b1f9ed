//! What goes to workflows of shards that another member owns, and what it answers.

use std::sync::Arc;

use futures::FutureExt as _;

use crate::{
    Error,
    limits::PEER_PATIENCE,
    owner::{Owner, message::Message},
    peers::{PeerAnswer, PeerRequest},
    words::{Key, Op, Request, RunKey},
};

impl Owner {
    /// Sends a request to the member that has its shard, if it is from a workflow; others are told where to ask.
    pub(super) fn send_away(&mut self, address: Option<Arc<str>>, request: Request) {
        let (Some(sender), Some(wire)) = (request.sender(), wire(&request)) else {
            let owner = address.map(|address| address.to_string());
            return self.turn_away(request, Error::NotOwner { owner });
        };
        // A run that is not here any more delivers from where it is now.
        if !self.context.shards.has(sender.key.shard()) {
            return;
        }
        let Some(address) = address else {
            let run_id = sender.run_id;
            return self.later(run_id, request);
        };
        let answer = self.context.setup.peers.ask(&address, wire, PEER_PATIENCE);
        self.context.elsewhere.push(
            async move {
                let answer = answer.await.unwrap_or_else(|unreached| {
                    tracing::debug!(%unreached, "a request to another member is sent again");
                    PeerAnswer::Unavailable
                });
                Message::Answered {
                    request: Box::new(request),
                    answer,
                }
            }
            .boxed(),
        );
    }

    /// Tells a workflow the outcome of what it sent.
    pub(super) fn answered_by_peer(&mut self, request: Request, answer: PeerAnswer) {
        let sender = request.sender().map(|sender| sender.run_id);
        let again = match request {
            Request::Start {
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
                Request::Start {
                    namespace,
                    request,
                    reply,
                }
            }
            Request::On { key, run_id, op } => match (answer.into_delivered(&key), op) {
                (Some(answer), Op::Deliver { reply, .. }) => return self.answer(reply, answer),
                (_, op) => Request::On { key, run_id, op },
            },
        };
        // Only what a workflow sends goes to another member.
        if let Some(sender) = sender {
            self.later(sender, again);
        }
    }

    /// Says whether an answer is for what a run sent since it last delivered what was outstanding.
    pub(super) fn is_awaited(&self, sender: &RunKey) -> bool {
        self.runs
            .get(&sender.run_id)
            .is_none_or(|run| run.deliveries.round == sender.round)
    }
}

/// Returns a request as it is sent to another member, if it is one that is.
fn wire(request: &Request) -> Option<PeerRequest> {
    match request {
        Request::Start {
            namespace, request, ..
        } => Some(PeerRequest::Start {
            namespace: namespace.name.clone(),
            start: request.clone(),
        }),
        Request::On { key, run_id, op } => match op {
            Op::Deliver {
                delivery,
                only_child_of,
                ..
            } => Some(PeerRequest::Deliver {
                namespace: key.namespace.name.clone(),
                workflow_id: key.workflow_id.clone(),
                run_id: *run_id,
                only_child_of: *only_child_of,
                delivery: delivery.clone(),
            }),
            Op::Describe { .. }
            | Op::WaitClosed { .. }
            | Op::WaitEvents { .. }
            | Op::Report(_)
            | Op::Worker { .. }
            | Op::Look => None,
        },
    }
}
