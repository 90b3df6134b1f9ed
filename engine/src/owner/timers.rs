//! Deadlines: the earliest of each run in one heap, looked at when its time comes.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use futures::FutureExt as _;
use history::{RunId, Timestamp, decide};
use tokio::time::Instant;

use super::{Message, Owner, Reply};
use crate::{limits::PARKED_HORIZON, store};

/// When to look at a run. A stale one costs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wake {
    at: Timestamp,
    shard: i16,
    run_id: RunId,
}

impl Ord for Wake {
    /// The earliest is the greatest, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.run_id).cmp(&(self.at, self.run_id))
    }
}

impl PartialOrd for Wake {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Owner {
    /// Sees to it that the run is looked at when its earliest deadline comes.
    pub(super) fn schedule_wake(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let Some(at) = run.execution.next_deadline() else {
            return;
        };
        if run.wakes_at.is_none_or(|known| at < known) {
            // What is far away is looked at in between: what it leaves in the heap when something nearer comes is soon gone.
            let at = at.min(self.setup.clock.now().after(PARKED_HORIZON.into()));
            run.wakes_at = Some(at);
            self.timers.push(Wake {
                at,
                shard: run.shard,
                run_id,
            });
        }
    }

    /// Sees to it that a run that is not in memory is looked at.
    pub(super) fn wake_at(&mut self, at: Timestamp, shard: i16, run_id: RunId) {
        self.timers.push(Wake { at, shard, run_id });
    }

    /// Returns when there is next something to do without being told.
    pub(super) fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let timer = self.timers.peek().map(|wake| {
            // A timer of the runtime has steps of a millisecond; it never ends early.
            now + wake.at.since(self.now())
        });
        let hold = self.holds.peek().map(|Reverse((until, _))| *until);
        [
            timer,
            hold,
            self.shards.next_look(),
            Some(self.matching.next_sweep()),
        ]
        .into_iter()
        .flatten()
        .fold(self.memory.next_round(), Instant::min)
    }

    /// Does what is due.
    pub(super) fn wake(&mut self) {
        self.end_holds();
        let now = self.now();
        while self.timers.peek().is_some_and(|wake| wake.at <= now) {
            let Some(wake) = self.timers.pop() else { break };
            match self.runs.get_mut(&wake.run_id) {
                Some(run) => {
                    if run.wakes_at == Some(wake.at) {
                        run.wakes_at = None;
                    }
                    self.fire_due(wake.run_id);
                    self.settle(wake.run_id);
                }
                None if self.memory.left(wake.run_id, now) && self.shards.has(wake.shard) => {
                    self.wake_parked(wake.shard, wake.run_id);
                }
                None => {}
            }
        }
        self.read_due();
        self.make_room();
        if !self.reading_parked && self.parked_until.since(now) < PARKED_HORIZON / 2 {
            self.read_parked();
        }
    }

    /// Fires every deadline of a run that has come, the earliest first.
    pub(super) fn fire_due(&mut self, run_id: RunId) {
        self.redeliver(run_id);
        loop {
            let now = self.now();
            #[cfg(test)]
            let now = crate::sim::planted::hasten(now);
            let next = self
                .runs
                .get(&run_id)
                .and_then(|run| run.execution.next_deadline());
            if next.is_none_or(|at| at > now) {
                return;
            }
            let new_run_id = self.new_run_id();
            let Some(run) = self.runs.get(&run_id) else {
                return;
            };
            let decision = decide::fire_due(&run.execution, new_run_id, now);
            #[cfg(test)]
            let decision = crate::sim::planted::hide_haste(decision);
            if decision.records.is_empty() && decision.effects.is_empty() {
                tracing::error!(%run_id, "a deadline passed and nothing was due: a bug");
                return;
            }
            for record in &decision.records {
                super::tell::timed_out(&run.execution, record);
            }
            self.carry_out(run_id, Ok(decision), Reply::None);
        }
    }

    /// Reads the deadlines of parked runs ahead.
    pub(super) fn read_parked(&mut self) {
        if self.reading_parked {
            // What is being read may be without the shards that have just come.
            self.read_parked_again = true;
            return;
        }
        self.reading_parked = true;
        let until = self.now().after(PARKED_HORIZON.into());
        let store = Arc::clone(&self.setup.store);
        self.elsewhere.push(
            async move {
                let due = store.parked_due(until).await;
                Message::Parked { due, until }
            }
            .boxed(),
        );
    }

    pub(super) fn parked_read(
        &mut self,
        due: Result<Vec<(i16, RunId, Timestamp)>, store::Error>,
        until: Timestamp,
    ) {
        self.reading_parked = false;
        if std::mem::take(&mut self.read_parked_again) {
            self.read_parked();
        }
        let due = match due {
            Ok(due) => due,
            Err(error) => {
                // Tried again with the next wake, which is a second away at most.
                return tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the deadlines of parked runs can't be read; trying again"
                );
            }
        };
        self.parked_until = until;
        for (shard, run_id, at) in due {
            if self.shards.has(shard) && !self.runs.contains_key(&run_id) {
                self.memory.leave(run_id, at);
                self.timers.push(Wake { at, shard, run_id });
            }
        }
    }
}
