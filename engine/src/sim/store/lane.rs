//! A connection that commits, and the server's side of it.

use std::time::Duration;

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::oneshot;

use super::{
    super::{
        odds::happens,
        planted::{Bug, planted},
        world::dawdle,
    },
    failure::failed,
    lock::Lock,
    memory::{LEASE, Memory},
    tables::Curse,
};
use crate::store::{
    Connection, Term,
    commit::{Conflicts, Item, NotCommitted, Settled},
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
        let works = self.memory.state().holds_any(self.backend);
        if !works {
            self.memory.end_backend(self.backend);
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
            let answer = answer.await;
            if let Ok(Ok(_)) = answer {
                self.memory.told(self.term, self.slot, batch);
            }
            answer.unwrap_or_else(|_| Err(NotCommitted::Unknown(failed())))
        }
        .boxed()
    }

    fn wait_for_locks(&self, _wait: Option<Duration>) -> BoxFuture<'_, ()> {
        // Here nobody keeps a lock that a batch waits for but for a while.
        std::future::ready(()).boxed()
    }

    fn tables_are_free(&self) -> BoxFuture<'_, bool> {
        std::future::ready(true).boxed()
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
        let row = Lock::Slot(term.owner, slot);
        dawdle(1).await;
        if !self.state().backends.contains_key(&backend) {
            return;
        }
        if self.lock(row, backend, LEASE).await.is_err() {
            // Ended, or too late: nobody knows which until it asks.
            self.end_backend(backend);
            return;
        }
        if self.state().fenced(term) {
            self.free(row, backend);
            let _ = reply.send(Err(NotCommitted::Fenced));
            return;
        }
        let (odds, curse) = {
            let state = self.state();
            (state.odds, state.curse_of(&items))
        };
        if let Some(curse) = curse {
            if curse == Curse::Hangs {
                tokio::time::sleep(LEASE).await;
            }
            if curse == Curse::Fails {
                let _ = reply.send(Err(NotCommitted::Doubtful(failed())));
                self.free(row, backend);
            } else {
                self.end_backend(backend);
            }
            return;
        }
        let early = planted(Bug::EarlyReply);
        let mut reply = Some(reply);
        if early && let Some(reply) = reply.take() {
            let _ = reply.send(Ok(Conflicts::default()));
        }
        dawdle(if happens(odds.slow) { 500 } else { 3 }).await;
        if happens(odds.refused) && !early {
            self.free(row, backend);
            if let Some(reply) = reply.take() {
                let _ = reply.send(Err(NotCommitted::TryAgain(failed())));
            }
            return;
        }
        if happens(odds.cut_before) {
            self.end_backend(backend);
            return;
        }
        let answer = {
            let mut state = self.state();
            // Its transaction was rolled back when somebody ended it.
            if !state.holds(row, backend) {
                return;
            }
            state.free(row, backend);
            match state.apply(term, &items) {
                Ok(lost) => {
                    state.batch_log.insert((term.owner, slot, number));
                    state.committed.insert((term.owner, slot, number));
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
            self.end_backend(backend);
            return;
        }
        dawdle(if happens(odds.slow) { 500 } else { 2 }).await;
        if let Some(reply) = reply.take()
            && self.state().backends.contains_key(&backend)
        {
            let _ = reply.send(answer);
        }
    }

    fn free(&self, row: Lock, backend: i32) {
        self.state().free(row, backend);
        self.changed.notify_waiters();
    }
}
