//! A database that several processes share, and what it keeps of each.

use crate::store::RunRef;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use history::{RunId, Timestamp};
use tokio::sync::Notify;

use super::{
    super::{
        odds::{Odds, happens},
        world::dawdle,
    },
    failure::failed,
    tables::State,
};
use crate::store::{
    Answer, Error, Term,
    acknowledged::{Held, Known, Verdict, Witness},
    ownership::Placed,
};

/// The lease of every process.
pub(in crate::sim) const LEASE: Duration = Duration::from_secs(1);

/// A database that several processes share, as one of them sees it.
#[derive(Clone)]
pub(in crate::sim) struct Memory {
    state: Arc<Mutex<State>>,
    pub(super) changed: Arc<Notify>,
    process: usize,
    pub(super) witness: Witness,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    pub(in crate::sim) fn new(odds: Odds) -> Self {
        let state = State {
            odds,
            shards: (0..1024)
                .map(|shard| Placed {
                    shard,
                    member: None,
                    open_since: Some(Timestamp(0)),
                })
                .collect(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(Notify::new()),
            process: 0,
            witness: Witness::default(),
        }
    }

    /// Returns the same database, as a process sees it that has just begun.
    pub(in crate::sim) fn of_process(&self, process: usize) -> Self {
        Self {
            process,
            witness: Witness::default(),
            ..self.clone()
        }
    }

    /// A standby takes the place of the database: what it holds is so from now on, and all sessions end. Returns the processes that
    /// were told of a batch that it does not hold.
    pub(in crate::sim) fn fail_over(&self, standby: State) -> BTreeSet<usize> {
        let mut state = self.state();
        let lost = state
            .told
            .iter()
            .filter(|(_, batch)| !standby.committed.contains(batch));
        let losers = lost.map(|(process, _)| *process).collect();
        *state = State {
            timeline: state.timeline + 1,
            next_backend: state.next_backend,
            backends: BTreeMap::new(),
            locks: BTreeMap::new(),
            held: BTreeMap::new(),
            ..standby
        };
        drop(state);
        self.changed.notify_waiters();
        losers
    }

    /// Notes that this process was told that a batch is committed.
    pub(super) fn told(&self, term: Term, slot: i16, batch: i64) {
        let key = (term.owner, slot, batch);
        self.state().told.insert((self.process, key));
        if let Some(acknowledged) = self.witness.acknowledged() {
            acknowledged.note(slot, batch);
        }
    }

    /// Compares the database with what this process was told.
    pub(super) fn compare(&self, known: &Known, held: &Held) -> Verdict {
        let verdict = known.compare(held);
        if matches!(verdict, Verdict::Behind(_)) {
            self.state().alarmed.insert(self.process);
        }
        verdict
    }

    pub(in crate::sim) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, in time, unless that fails.
    pub(super) fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'a,
    ) -> Answer<'a, T> {
        async move {
            dawdle(2).await;
            let (answer, slow) = {
                let mut state = self.state();
                state.statements += 1;
                let answer = if happens(state.odds.read_fails) {
                    Err(failed())
                } else {
                    read(&mut state)
                };
                (answer, happens(state.odds.slow))
            };
            dawdle(if slow { 500 } else { 2 }).await;
            answer
        }
        .boxed()
    }

    /// Looks at what is asked for many runs at once. A read that is refused is never answered: whoever asks for nothing is answered at
    /// once by Postgres, and who asks again then would never let the simulation end.
    pub(super) async fn look_at_read(&self, asked: &[RunRef]) {
        let runs: BTreeSet<RunId> = asked.iter().map(|run| run.run_id).collect();
        let problem = if asked.is_empty() {
            "a read of no run"
        } else if runs.len() < asked.len() {
            // The rows of such a run come twice, so that it can't be folded.
            "a read that names a run twice"
        } else {
            return;
        };
        self.state().checks.violated(problem.to_owned());
        std::future::pending::<()>().await;
    }

    /// Waits until something that was asked of the state is so.
    pub(in crate::sim) async fn until<T>(&self, mut ask: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = ask(&mut self.state()) {
                return answer;
            }
            changed.await;
        }
    }
}
