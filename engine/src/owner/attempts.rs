//! What the database keeps of attempts beside the log: one note for each pending activity and workflow task that is replaced
//! with the run's next commit, or in a commit of its own. A short attempt that ends well writes none.

use history::{EventId, Execution, RunId};
use tokio::time::Instant;

use crate::{
    limits::{ATTEMPT_NOTED_AFTER, HEARTBEAT_NOTED_AFTER},
    owner::{
        Owner,
        context::{Context, Step},
        state::{attempts::Later, run::Run},
    },
};

impl Context {
    /// Has it written that an attempt has started, if it runs long.
    pub(super) fn note_start(&mut self, run_id: RunId, about: EventId, attempt: u32) {
        let at = Instant::now() + ATTEMPT_NOTED_AFTER;
        let start = (at, run_id, about, Later::Start(attempt));
        self.noting.starts.push_back(start);
    }

    /// Has it written what a heartbeat said that was just applied: in a while, for more may come; at once when the run is
    /// about to leave.
    pub(super) fn note_heartbeat(&mut self, run: &mut Run, about: EventId) -> Step {
        if self.stopping || !self.shards.hands_out(run.shard) {
            run.attempts.change(about);
            return self.settle(run);
        }
        if run.attempts.beat(about) {
            let at = Instant::now() + HEARTBEAT_NOTED_AFTER;
            let heartbeat = (at, run.run_id(), about, Later::Heartbeat);
            self.noting.heartbeats.push_back(heartbeat);
        }
        Ok(())
    }
}

impl Owner {
    /// Has written what is still so that was to be looked at by now.
    pub(super) fn write_noted(&mut self) {
        let now = Instant::now();
        while let Some((run_id, about, what)) = self.context.noting.next_due(now) {
            // One that is gone left with all that is known of it written, or was folded again without what was not.
            self.step(run_id, |context, run| {
                let (execution, attempts) = (&run.execution, &mut run.attempts);
                let still = match what {
                    Later::Start(attempt) => is_at(execution, about, attempt),
                    Later::Heartbeat => attempts.beats.contains(&about),
                };
                if still && attempts.is_behind(execution, about) {
                    attempts.change(about);
                    return context.settle(run);
                }
                Ok(())
            });
        }
    }

    /// Has everything written that is known of attempts: whoever is next is to find it.
    pub(super) fn write_all_attempts(&mut self) {
        // The order of a map is no order; that of the seeds is.
        let mut behind = Vec::new();
        for (run_id, run) in &mut self.runs {
            run.attempts.catch_up(&run.execution);
            if run.attempts.are_changed() {
                behind.push(*run_id);
            }
        }
        behind.sort_unstable();
        for run_id in behind {
            self.step_here(run_id, |context, run| {
                context.flush(run);
                Ok(())
            });
        }
    }
}

/// Says whether an activity or the workflow task is at an attempt.
fn is_at(execution: &Execution, about: EventId, attempt: u32) -> bool {
    if about.is_none() {
        let task = execution.workflow_task();
        task.is_some_and(|task| task.attempt == attempt)
    } else {
        let activity = execution.activity(about);
        activity.is_some_and(|activity| activity.attempt == attempt)
    }
}
