//! What the attempts on this worker have in common, and which there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use history::{
    EventId, RunId,
    task::{ActivityTaskToken, Answers},
};
use tokio::{runtime::Handle, sync::Notify};

use super::dependencies::Dependencies;

/// Names an attempt among those of this worker, which may have the same one of two foldings of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    run_id: RunId,
    scheduled_event_id: EventId,
    attempt: u32,
    incarnation: u64,
}

impl Key {
    pub(crate) fn of(token: &ActivityTaskToken) -> Self {
        Self {
            run_id: token.run_id,
            scheduled_event_id: token.scheduled_event_id,
            attempt: token.attempt,
            incarnation: token.incarnation,
        }
    }
}

/// What attempts run on, and a table of them. An attempt has it, so it knows no attempt (`R`).
pub(super) struct Home<R> {
    pub(super) dependencies: Dependencies,
    pub(super) runtime: Handle,
    /// An engine that is gone gives its attempts to another worker.
    pub(super) answers: Answers,
    running: Mutex<HashMap<Key, Arc<R>>>,
    /// Told when the last attempt ends.
    idle: Notify,
}

impl<R> Home<R> {
    pub(super) fn new(dependencies: Dependencies, runtime: Handle, answers: Answers) -> Self {
        Self {
            dependencies,
            runtime,
            answers,
            running: Mutex::default(),
            idle: Notify::new(),
        }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<Key, Arc<R>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no attempt runs.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.running().is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Forgets an attempt; says whether it was still to be answered for.
    pub(super) fn forget(&self, key: Key) -> bool {
        let mut running = self.running();
        let known = running.remove(&key).is_some();
        if known && running.is_empty() {
            self.idle.notify_waiters();
        }
        known
    }
}
