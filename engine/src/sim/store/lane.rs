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
    tables::{Applied, Curse},
};
use crate::store::RunRef;
use crate::store::{
    Connection, Term,
    commit::{Conflicts, Item, NotCommitted},
};

type Reply = oneshot::Sender<Result<Conflicts, NotCommitted>>;

struct Batch {
    backend: i32,
    slot: i16,
    term: Term,
    number: i64,
    /// Its place in the feed, once it has locked its row.
    position: i64,
    items: Vec<Item>,
    delivered: Vec<RunRef>,
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
        delivered: &'a [RunRef],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        let (reply, answer) = oneshot::channel();
        let request = Batch {
            backend: self.backend,
            slot: self.slot,
            term: self.term,
            number: batch,
            position: 0,
            items: items.to_vec(),
            delivered: delivered.to_vec(),
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
    async fn serve(self, mut batch: Batch, reply: Reply) {
        let row = Lock::Slot(batch.term.owner, batch.slot);
        dawdle(1).await;
        if !self.state().backends.contains_key(&batch.backend) {
            return;
        }
        if self.lock(row, batch.backend, LEASE).await.is_err() {
            // Ended, or too late: nobody knows which until it asks.
            self.end_backend(batch.backend);
            return;
        }
        if self.state().fenced(batch.term) {
            self.free(row, batch.backend);
            let _ = reply.send(Err(NotCommitted::Fenced));
            return;
        }
        batch.position = self.state().feed.draw();
        let curse = self.state().curse_of(&batch.items);
        match curse {
            Some(Curse::Fails) => {
                let _ = reply.send(Err(NotCommitted::Doubtful(failed())));
                self.free(row, batch.backend);
            }
            Some(Curse::Hangs) => {
                tokio::time::sleep(LEASE).await;
                self.end_backend(batch.backend);
            }
            Some(Curse::Cut) => self.end_backend(batch.backend),
            None => self.write(row, batch, reply).await,
        }
    }

    /// Writes a batch whose row is locked, unless something goes wrong.
    async fn write(self, row: Lock, batch: Batch, reply: Reply) {
        let odds = self.state().odds;
        let early = planted(Bug::EarlyReply);
        let mut reply = Some(reply);
        if early && let Some(reply) = reply.take() {
            let _ = reply.send(Ok(Conflicts::default()));
        }
        dawdle(if happens(odds.slow) { 500 } else { 3 }).await;
        if happens(odds.refused) && !early {
            self.free(row, batch.backend);
            if let Some(reply) = reply.take() {
                let _ = reply.send(Err(NotCommitted::TryAgain(failed())));
            }
            return;
        }
        if happens(odds.cut_before) {
            self.end_backend(batch.backend);
            return;
        }
        let Some(answer) = self.apply(row, &batch) else {
            return;
        };
        self.changed.notify_waiters();
        if happens(odds.cut_after) {
            self.end_backend(batch.backend);
            return;
        }
        dawdle(if happens(odds.slow) { 500 } else { 2 }).await;
        if let Some(reply) = reply.take()
            && self.state().backends.contains_key(&batch.backend)
        {
            let _ = reply.send(answer);
        }
    }

    /// Writes a batch; `None` where its transaction was rolled back when somebody ended it.
    fn apply(&self, row: Lock, batch: &Batch) -> Option<Result<Conflicts, NotCommitted>> {
        let mut state = self.state();
        if !state.holds(row, batch.backend) {
            return None;
        }
        state.free(row, batch.backend);
        match state.apply(batch.term, &batch.items) {
            Ok(Applied { lost, changes }) => {
                let key = (batch.term.owner, batch.slot, batch.number);
                let of = (batch.term, batch.slot, batch.number);
                state.feed.add(of, batch.position, changes);
                state.committed.insert(key);
                for delivered in &batch.delivered {
                    state.outbox.remove(&delivered.run_id);
                }
                Some(Ok(Conflicts(lost)))
            }
            Err(violation) => {
                state.checks.violated(violation);
                Some(Err(NotCommitted::Fenced))
            }
        }
    }

    fn free(&self, row: Lock, backend: i32) {
        self.state().free(row, backend);
        self.changed.notify_waiters();
    }
}
