//! What goes to workflows of shards that another member owns, and what it answers.

use std::sync::Arc;

use futures::FutureExt as _;
use history::RunId;

use super::{Key, Message, Op, Owner, Reply, RunKey, StartReply};
use crate::{
    Error,
    limits::PEER_PATIENCE,
    peers::{self, Letter, Request, What},
};

impl Owner {
    /// Sends a message to the member that has its shard, if it is from a workflow; others are told where to ask.
    pub(super) fn send_away(&mut self, address: Option<Arc<str>>, message: Message) {
        let Some(source) = source(&message) else {
            return self.refuse_message(message, address);
        };
        // A run that is not here any more delivers from where it is now.
        if !self.shards.has(source.key.shard()) {
            return;
        }
        let (Some(address), Some(request)) = (address, request(&message)) else {
            let run_id = source.run_id;
            return self.later(run_id, message);
        };
        let letter = Letter {
            secret: self.setup.post.secret,
            request,
        };
        // Our own types have no key or value that JSON could refuse.
        let letter = serde_json::to_string(&letter).unwrap_or_default();
        let answer = self.setup.post.peers.send(&address, letter);
        self.elsewhere.push(
            async move {
                let answer = match tokio::time::timeout(PEER_PATIENCE, answer).await {
                    Ok(Ok(answer)) => serde_json::from_str(&answer).unwrap_or(peers::Answer::Again),
                    Ok(Err(unreached)) => {
                        tracing::debug!(%unreached, "a message to another member is sent again");
                        peers::Answer::Again
                    }
                    Err(_elapsed) => peers::Answer::Again,
                };
                Message::Answered {
                    message: Box::new(message),
                    answer,
                }
            }
            .boxed(),
        );
    }

    /// Tells a workflow what came of what it sent.
    pub(super) fn answered_by_peer(&mut self, message: Message, answer: peers::Answer) {
        let Some(sender) = source(&message).map(|source| source.run_id) else {
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
                if let Some(answer) = answer.into_start(&key) {
                    return self.answer_start(reply, answer);
                }
                let message = Message::Start {
                    namespace,
                    request,
                    reply,
                };
                self.later(sender, message);
            }
            Message::On { key, run_id, op } => match answer.into_operation(&key) {
                Some(answer) => {
                    if let Some(reply) = op.reply() {
                        self.answer(reply, answer);
                    }
                }
                None => self.later(sender, Message::On { key, run_id, op }),
            },
            _ => {}
        }
    }

    /// Tells whoever asked that the shard is elsewhere.
    fn refuse_message(&mut self, message: Message, address: Option<Arc<str>>) {
        let error = Error::NotOwner {
            owner: address.map(|address| address.to_string()),
        };
        match message {
            Message::Start { reply, .. } => self.answer_start(reply, Err(error)),
            Message::On { op, .. } => self.refuse(op, error),
            _ => {}
        }
    }

    /// Says whether an answer is for what a run sent since it last delivered what was outstanding.
    pub(super) fn is_awaited(&self, source: &RunKey) -> bool {
        self.runs
            .get(&source.run_id)
            .is_none_or(|run| run.round == source.round)
    }
}

/// Returns the run that a message comes from.
fn source(message: &Message) -> Option<&RunKey> {
    fn of(op: &Op) -> Option<&RunKey> {
        match op {
            Op::Signal { reply, .. }
            | Op::RequestCancel { reply, .. }
            | Op::Terminate { reply, .. }
            | Op::ChildClosed { reply, .. } => match reply {
                Reply::External { source, .. } | Reply::Debt { debtor: source, .. } => Some(source),
                Reply::None | Reply::Caller(_) | Reply::Peer(_) => None,
            },
            Op::OnlyChildOf { op, .. } => of(op),
            _ => None,
        }
    }
    match message {
        Message::Start {
            reply: StartReply::Parent { parent, .. },
            ..
        } => Some(parent),
        Message::On { op, .. } => of(op),
        _ => None,
    }
}

/// Returns a message as it is sent.
fn request(message: &Message) -> Option<Request> {
    match message {
        Message::Start {
            namespace, request, ..
        } => Some(Request::Start {
            namespace: namespace.name.clone(),
            start: request.clone(),
        }),
        Message::On { key, run_id, op } => {
            let (only_child_of, what) = what_of(op)?;
            Some(Request::To {
                namespace: key.namespace.name.clone(),
                workflow_id: key.workflow_id.clone(),
                run_id: *run_id,
                only_child_of,
                what,
            })
        }
        _ => None,
    }
}

fn what_of(op: &Op) -> Option<(Option<RunId>, What)> {
    let what = match op {
        Op::Signal { signal, .. } => What::Signal(signal.clone()),
        Op::RequestCancel { cancel, .. } => What::RequestCancel(cancel.clone()),
        Op::Terminate { terminate, .. } => What::Terminate(terminate.clone()),
        Op::ChildClosed { closed, .. } => What::ChildClosed(closed.clone()),
        Op::OnlyChildOf { parent, op } => return Some((Some(*parent), what_of(op)?.1)),
        _ => return None,
    };
    Some((None, what))
}
