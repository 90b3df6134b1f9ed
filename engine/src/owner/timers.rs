//! Deadlines: the earliest of each run in memory in one heap, looked at when its time comes.

use std::cmp::Reverse;

use history::{RunId, decide};
use tokio::time::Instant;

use crate::{
    limits::PARKED_HORIZON,
    owner::{Owner, state::wake::Wake},
    words::Reply,
};

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
            self.timers.push(Wake { at, run_id });
        }
    }

    /// Returns when there is next something to do without being told.
    pub(super) fn next_wake(&self) -> Instant {
        let timer = self.timers.peek().map(|wake| wake.at);
        let parked = if self.reading.holds_due_back() {
            None
        } else {
            self.parked.next_at()
        };
        // A timer of the runtime has steps of a millisecond; it never ends early.
        let timer = timer
            .into_iter()
            .chain(parked)
            .min()
            .map(|at| Instant::now() + at.since(self.now()));
        let linger = self.lingering.peek().map(|Reverse((until, _))| *until);
        [
            timer,
            linger,
            self.beats_until,
            self.noting.next_look(),
            self.shards.next_look(),
            Some(self.matching.next_sweep()),
        ]
        .into_iter()
        .flatten()
        .fold(self.memory.next_round(), Instant::min)
    }

    /// Does what is due.
    pub(super) fn wake(&mut self) {
        self.end_lingering();
        self.write_noted();
        let now = self.now();
        while self.timers.peek().is_some_and(|wake| wake.at <= now) {
            let Some(wake) = self.timers.pop() else { break };
            if let Some(run) = self.runs.get_mut(&wake.run_id) {
                if run.wakes_at == Some(wake.at) {
                    run.wakes_at = None;
                }
                self.fire_due(wake.run_id);
                self.settle(wake.run_id);
            }
        }
        self.make_room();
        self.read_next();
        self.read_ahead();
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
}
