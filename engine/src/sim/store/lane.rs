//! A connection that commits, and the server's side of it.

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    super::{
        planted::{Bug, planted},
        world::dawdle,
    },
    Memory, failed, happens,
};
use crate::store::{
    Connection, NotCommitted, Term,
    commit::{Conflicts, Item, Settled},
};

struct Batch {
    backend: i32,
    slot: i16,
    term: Term,
    number: i64,
    items: Vec<Item>,
    settled: Vec<Settled>,
}

pub(super) struct Lane {
    pub(super) memory: Memory,
    pub(super) backend: i32,
    pub(super) slot: i16,
    pub(super) term: Term,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The server notices when what it has begun is done: a batch that is sent is not stopped.
        let mut state = self.memory.state();
        if !state.busy.values().any(|busy| *busy == self.backend) {
            state.end_backend(self.backend);
        }
    }
}

impl Connection for Lane {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        settled: &'a [Settled],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        let (reply, answer) = oneshot::channel();
        let request = Batch {
            backend: self.backend,
            slot: self.slot,
            term: self.term,
            number: batch,
            items: items.to_vec(),
            settled: settled.to_vec(),
        };
        tokio::spawn(self.memory.clone().serve(request, reply));
        async move {
            answer
                .await
                .unwrap_or_else(|_| Err(NotCommitted::Unknown(failed())))
        }
        .boxed()
    }

    fn backend(&self) -> i32 {
        self.backend
    }
}

impl Memory {
    /// Does a batch as the server does, whether or not its client still lives.
    async fn serve(self, request: Batch, reply: oneshot::Sender<Result<Conflicts, NotCommitted>>) {
        let Batch {
            backend,
            slot,
            term,
            number,
            items,
            settled,
        } = request;
        let slot = (term.owner, slot);
        dawdle(1).await;
        let odds = {
            let mut state = self.state();
            if !state.alive.contains(&backend) {
                return;
            }
            if state.fenced(term) {
                let _ = reply.send(Err(NotCommitted::Fenced));
                return;
            }
            state.busy.insert(slot, backend);
            state.odds
        };
        let early = planted(Bug::EarlyReply);
        let mut reply = Some(reply);
        if early && let Some(reply) = reply.take() {
            let _ = reply.send(Ok(Conflicts::default()));
        }
        dawdle(if happens(odds.slow) { 500 } else { 3 }).await;
        if happens(odds.refused) && !early {
            self.free(slot, backend);
            if let Some(reply) = reply.take() {
                let _ = reply.send(Err(NotCommitted::TryAgain(failed())));
            }
            return;
        }
        if happens(odds.cut_before) {
            self.state().end_backend(backend);
            self.changed.notify_waiters();
            return;
        }
        let answer = {
            let mut state = self.state();
            // Its transaction was rolled back when somebody ended it.
            if state.busy.get(&slot) != Some(&backend) {
                return;
            }
            state.busy.remove(&slot);
            match state.apply(term, &items) {
                Ok(lost) => {
                    state.batch_log.insert((slot.0, slot.1, number));
                    for settled in &settled {
                        state.outbox.remove(&settled.run_id);
                    }
                    Ok(Conflicts(lost))
                }
                Err(violation) => {
                    state.checks.violated(violation);
                    Err(NotCommitted::Fenced)
                }
            }
        };
        self.changed.notify_waiters();
        if happens(odds.cut_after) {
            self.state().end_backend(backend);
            self.changed.notify_waiters();
            return;
        }
        dawdle(if happens(odds.slow) { 500 } else { 2 }).await;
        if let Some(reply) = reply.take()
            && self.state().alive.contains(&backend)
        {
            let _ = reply.send(answer);
        }
    }

    fn free(&self, slot: (Uuid, i16), backend: i32) {
        let mut state = self.state();
        if state.busy.get(&slot) == Some(&backend) {
            state.busy.remove(&slot);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}
