//! What is asked of one workflow: handled here and now, kept until its shard is here, or sent to where that is.

use crate::Error;
use crate::limits::REDELIVER_AFTER;
use crate::limits::REDELIVER_AFTER_MAX;
use crate::owner::Owner;
use crate::owner::context::Context;
use crate::owner::message::Message;
use crate::owner::state::shards::Place;
use crate::words::Request;
use std::time::Duration;

use futures::FutureExt as _;
use history::RunId;
use tokio::time::Instant;

impl Owner {
    /// Handles a request here, if its shard is.
    pub(super) fn request(&mut self, request: Request) {
        let admitted = match request {
            Request::Start { reply, .. } if self.context.stopping => {
                return self.answer_start(reply, Err(STOPPING));
            }
            request if self.context.shards.has_all() => Some(request),
            request => self.admit(request),
        };
        match admitted {
            Some(Request::Start {
                namespace,
                request,
                reply,
            }) => self.start(namespace, request, reply),
            Some(Request::On { key, run_id, op }) => self.on(key, run_id, op),
            // It waits, or is on its way to another member.
            None => {}
        }
    }

    /// Returns a request that is to be handled here and now; others wait, or go to where their shard is.
    fn admit(&mut self, request: Request) -> Option<Request> {
        let shard = request.shard();
        match self.context.shards.place(shard) {
            Place::Here => Some(request),
            Place::Leaving if request.is_from_inside() => Some(request),
            Place::Elsewhere(address) => {
                let address = address.clone();
                self.send_away(address, request);
                None
            }
            Place::Coming | Place::Leaving | Place::Left => {
                self.context
                    .shards
                    .waiting
                    .entry(shard)
                    .or_default()
                    .push(request);
                None
            }
        }
    }

    /// Tells whoever sent a request that nothing was done.
    pub(super) fn turn_away(&mut self, request: Request, error: Error) {
        match request {
            Request::Start { reply, .. } => self.answer_start(reply, Err(error)),
            Request::On { op, .. } => self.refuse(op, error),
        }
    }

    /// Does again in a while what a run wanted of another and could not be done: the longer nothing was answered, the later.
    pub(super) fn later(&mut self, run_id: RunId, request: Request) {
        let now = Instant::now();
        // A run that is gone delivers from where it is now, when it is folded there.
        let unheard = self.runs.get_mut(&run_id).map_or(Duration::ZERO, |run| {
            now.saturating_duration_since(*run.deliveries.unheard_since.get_or_insert(now))
        });
        self.context.after(
            (unheard / 4).clamp(REDELIVER_AFTER, REDELIVER_AFTER_MAX),
            request,
        );
    }
}

impl Context {
    /// Handles a request after a pause.
    pub(super) fn after(&mut self, pause: Duration, request: Request) {
        self.elsewhere.push(
            async move {
                tokio::time::sleep(pause).await;
                Message::Request(request)
            }
            .boxed(),
        );
    }
}

/// The answer to new work while the process stops.
const STOPPING: Error = Error::Unavailable("the engine is stopping");
