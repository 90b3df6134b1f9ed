//! A step: what is done on one run, and then what follows it on others.

use history::RunId;

use crate::owner::{
    Owner,
    context::{Context, FoldAgain, Next, Step},
    state::run::Run,
};

impl Owner {
    /// Does a step on a run if that is in memory, and says whether it was. A closed run that nobody needs any more leaves.
    pub(super) fn step(
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
        self.forget_if_over(run_id);
        true
    }

    /// Lets a closed run go when nobody needs it any more.
    pub(super) fn forget_if_over(&mut self, run_id: RunId) {
        let is_over = self.runs.get(&run_id).is_some_and(|run| run.is_over());
        if is_over && self.just_read != Some(run_id) {
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
}

/// A run is not in memory that should be: a bug, which a simulation reports.
pub(super) fn missed(run_id: RunId) {
    tracing::error!(%run_id, "a run is not in memory that should be: a bug");
    #[cfg(test)]
    crate::sim::world::violated(format!("{run_id} is not in memory"));
}
