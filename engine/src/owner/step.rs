//! A step: what is done on one run, and then what follows it on others.

use history::RunId;

use crate::owner::{
    Owner,
    context::{Context, FoldAgain, Next, Step},
    state::run::Run,
};

impl Owner {
    /// Does a step on a run if that is in memory, and says whether it is. A closed run that nobody needs any more leaves.
    pub(super) fn step(
        &mut self,
        run_id: RunId,
        step: impl FnOnce(&mut Context, &mut Run) -> Step,
    ) -> bool {
        let is_there = self.step_and_stay(run_id, step);
        self.forget_if_over(run_id);
        is_there
    }

    /// Does a step on a run if that is in memory, and says whether it is. It stays there.
    pub(super) fn step_and_stay(
        &mut self,
        run_id: RunId,
        step: impl FnOnce(&mut Context, &mut Run) -> Step,
    ) -> bool {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return false;
        };
        if let Err(FoldAgain(why)) = step(&mut self.context, run) {
            self.fold_again(run_id, why);
        }
        self.follow_up();
        true
    }

    /// Lets a closed run go when nobody needs it any more.
    pub(super) fn forget_if_over(&mut self, run_id: RunId) {
        if self.runs.get(&run_id).is_some_and(|run| run.is_over()) {
            // The worker drops its own copy when it has sent the closing command.
            self.take_out(run_id);
        }
    }

    /// Does a step on a run that is in memory.
    pub(super) fn step_here(
        &mut self,
        run_id: RunId,
        step: impl FnOnce(&mut Context, &mut Run) -> Step,
    ) {
        if !self.step(run_id, step) {
            missed(run_id);
        }
    }

    /// Does what follows a step.
    pub(super) fn follow_up(&mut self) {
        while let Some(next) = self.context.next.pop_front() {
            match next {
                Next::Began(run) => {
                    let run_id = run.run_id();
                    self.insert(run);
                    self.step_here(run_id, Context::settle);
                }
                Next::Gone(session) => self.disconnect(session),
                Next::Refill(queue) => self.refill(&queue),
                Next::ReadHistories => self.read_histories(),
                Next::KeepFailing => self.keep_failing(),
                Next::Tell(answer) => self.tell(answer),
            }
        }
    }

    /// Puts the latest run of a workflow into memory.
    pub(super) fn insert(&mut self, run: Box<Run>) {
        let run_id = run.run_id();
        self.current.insert(run.key.clone(), run_id);
        self.context.remember(run_id, run.looked_at);
        self.runs.insert(run_id, run);
    }
}

/// A run is not in memory that is: a bug, which a simulation reports.
pub(super) fn missed(run_id: RunId) {
    tracing::error!(%run_id, "a run is not in memory that should be: a bug");
    #[cfg(test)]
    crate::sim::world::violated(format!("{run_id} is not in memory"));
}
