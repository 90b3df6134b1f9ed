//! Transactions of several statements, as Postgres has them: rows that are locked and waited for, clients that freeze or vanish in the
//! middle, and the limits that end what they leave.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    super::{
        planted::{Bug, planted},
        world::{dawdle, now},
    },
    failure::{LockTimeout, failed},
    lock::{Hold, Lock},
    memory::Memory,
    tables::State,
};
use crate::{
    limits::{IDLE_IN_TRANSACTION_MAX, LOCK_WAIT_MAX},
    store::Error,
};

/// What is held for longer is held by somebody who does nothing: idle transactions end before, and batches take less.
const HELD_MAX: Duration = Duration::from_secs(5);

impl State {
    pub(super) fn holds(&self, lock: Lock, backend: i32) -> bool {
        self.held.get(&lock).map(|hold| hold.backend) == Some(backend)
    }

    pub(super) fn holds_any(&self, backend: i32) -> bool {
        self.held.values().any(|hold| hold.backend == backend)
    }

    /// Takes a row if nobody has it.
    fn take(&mut self, lock: Lock, backend: i32) -> bool {
        let since = now();
        self.held.entry(lock).or_insert(Hold { backend, since });
        self.holds(lock, backend)
    }

    pub(super) fn free(&mut self, lock: Lock, backend: i32) {
        if self.holds(lock, backend) {
            self.held.remove(&lock);
        }
    }

    /// What one locks out of order may be waited for by one that waits for what the first has.
    fn look_at_order(&mut self, lock: Lock, backend: i32) {
        let later = self
            .held
            .iter()
            .find(|(held, hold)| hold.backend == backend && **held > lock);
        if let Some((later, _)) = later {
            let violation = format!("a transaction locks {lock:?} after {later:?}");
            self.checks.violated(violation);
        }
    }

    /// Somebody has waited in vain.
    fn look_at_holder(&mut self, lock: Lock) {
        let since = self.held.get(&lock).map(|hold| hold.since);
        if since.is_some_and(|since| since.after(HELD_MAX.into()) < now()) {
            let violation = format!(
                "{lock:?} is held for more than {HELD_MAX:?} by a session that does nothing"
            );
            self.checks.violated(violation);
        }
    }
}

/// A transaction on a connection of its own. One that is dropped is rolled back.
pub(super) struct Transaction {
    memory: Memory,
    backend: i32,
    /// How long it may lie idle.
    idle: Option<Duration>,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.memory.end_backend(self.backend);
    }
}

impl Transaction {
    /// Locks a row. The server goes on with that whether or not its client does.
    pub(super) async fn lock(&self, lock: Lock) -> Result<(), Error> {
        self.lock_within(lock, LOCK_WAIT_MAX).await
    }

    /// The same, with a time of its own to wait.
    pub(super) async fn lock_within(&self, lock: Lock, wait: Duration) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let memory = self.memory.clone();
        let (backend, idle) = (self.backend, self.idle);
        tokio::spawn(async move {
            dawdle(1).await;
            let locked = memory.lock(lock, backend, wait).await;
            if locked.is_ok() {
                memory.end_when_idle(backend, idle);
            } else {
                memory.end_backend(backend);
            }
            let _ = reply.send(locked);
        });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }

    /// Does the rest in one statement, and commits.
    pub(super) async fn commit<T>(self, apply: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        dawdle(2).await;
        let answer = {
            let mut state = self.memory.state();
            state.statements += 1;
            if !state.backends.contains_key(&self.backend) {
                return Err(failed());
            }
            apply(&mut state)
        };
        self.memory.end_backend(self.backend);
        dawdle(2).await;
        Ok(answer)
    }
}

impl Memory {
    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Transaction {
        dawdle(1).await;
        Transaction {
            memory: self.clone(),
            backend: self.state().open_backend(None),
            idle: (!planted(Bug::NoTimeouts)).then_some(IDLE_IN_TRANSACTION_MAX),
        }
    }

    /// Begins a transaction that nothing ends but its client.
    pub(super) async fn begin_for_ever(&self) -> Transaction {
        let mut transaction = self.begin().await;
        transaction.idle = None;
        transaction
    }

    /// Ends a session: its locks are free, and what it had not committed never was.
    pub(super) fn end_backend(&self, backend: i32) {
        self.state().end_backend(backend);
        self.changed.notify_waiters();
    }

    /// Waits for a row for so long, as long as the session lives.
    pub(super) async fn lock(
        &self,
        lock: Lock,
        backend: i32,
        limit: Duration,
    ) -> Result<(), Error> {
        {
            let mut state = self.state();
            state.statements += 1;
            if let Some(session) = state.backends.get_mut(&backend) {
                session.statements += 1;
            }
            state.look_at_order(lock, backend);
        }
        let locked = self.until(|state| {
            if state.backends.contains_key(&backend) {
                state.take(lock, backend).then_some(Ok(()))
            } else {
                Some(Err(failed()))
            }
        });
        let Ok(locked) = timeout(limit, locked).await else {
            self.state().look_at_holder(lock);
            return Err(Error::Sqlx(LockTimeout.into()));
        };
        if locked.is_err() {
            self.state().look_at_holder(lock);
        }
        locked
    }

    /// Ends a session that gets no other statement for so long.
    fn end_when_idle(&self, backend: i32, limit: Option<Duration>) {
        let statements = |state: &State| Some(state.backends.get(&backend)?.statements);
        let (Some(limit), Some(seen)) = (limit, statements(&self.state())) else {
            return;
        };
        let memory = self.clone();
        tokio::spawn(async move {
            sleep(limit).await;
            let idle = {
                let state = memory.state();
                state
                    .backends
                    .get(&backend)
                    .is_some_and(|b| b.statements == seen)
            };
            if idle {
                memory.end_backend(backend);
            }
        });
    }
}
