//! Deadlines: the earliest of each run in memory in one heap, looked at when its time comes.

use std::cmp::Reverse;

use history::decide;
use tokio::time::Instant;

use crate::{
    limits::PARKED_HORIZON,
    owner::{
        Owner,
        context::{Context, Step},
        state::{run::Run, wake::Wake},
    },
    words::Reply,
};

impl Context {
    /// Sees to it that the run is looked at when its earliest deadline comes. Of one whose start is not durable none counts yet: runs that
    /// follow each other by timeouts would be decided faster than the database writes them, and nobody heard of any.
    pub(super) fn schedule_wake(&mut self, run: &mut Run) {
        if !run.was_committed() {
            return;
        }
        let Some(at) = run.execution.next_deadline() else {
            return;
        };
        if run.wakes_at.is_none_or(|known| at < known) {
            // What is far away is looked at in between: what it leaves in the heap when something nearer comes is soon gone.
            let at = at.min(self.setup.clock.now().after(PARKED_HORIZON.into()));
            run.wakes_at = Some(at);
            let run_id = run.run_id();
            self.timers.push(Wake { at, run_id });
        }
    }

    /// Fires every deadline of a run that has come, the earliest first.
    pub(super) fn fire_due(&mut self, run: &mut Run) -> Step {
        self.redeliver(run)?;
        while run.was_committed() {
            let now = self.now();
            #[cfg(test)]
            let now = crate::sim::planted::hasten(now);
            if run.execution.next_deadline().is_none_or(|at| at > now) {
                return Ok(());
            }
            let new_run_id = self.new_run_id();
            let decision = decide::fire_due(&run.execution, new_run_id, now);
            #[cfg(test)]
            let decision = crate::sim::planted::hide_haste(decision);
            if decision.records.is_empty() && decision.effects.is_empty() {
                tracing::error!(run_id = %run.run_id(), "a deadline passed and nothing was due: a bug");
                return Ok(());
            }
            for record in &decision.records {
                super::log_timeouts::timed_out(&run.execution, record);
            }
            self.carry_out(run, Ok(decision), Reply::None)?;
        }
        Ok(())
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
}

impl Owner {
    /// Does what is due.
    pub(super) fn wake(&mut self) {
        self.end_lingering();
        self.write_noted();
        let now = self.context.now();
        while self
            .context
            .timers
            .peek()
            .is_some_and(|wake| wake.at <= now)
        {
            let Some(wake) = self.context.timers.pop() else {
                break;
            };
            // One that is gone is over, or is read when it is due.
            self.step(wake.run_id, |context, run| {
                if run.wakes_at == Some(wake.at) {
                    run.wakes_at = None;
                }
                context.fire_due(run)?;
                context.settle(run)
            });
        }
        self.make_room();
        self.read_next();
        self.context.read_ahead();
    }
}
