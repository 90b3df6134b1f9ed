//! Workflow tasks that failed and wait for other code.

use history::{BuildId, RunId, decide};

use crate::{
    owner::{
        Owner,
        context::{Context, Next},
    },
    words::{QueueKey, Reply},
};

impl Context {
    /// Takes note that the workflow task of a run failed and waits. Those that do not any more go when there are twice as many.
    pub(super) fn note_failing(&mut self, run_id: RunId) {
        if self.failing.insert(run_id) && self.failing.len().is_power_of_two() {
            self.next.push_back(Next::KeepFailing);
        }
    }
}

impl Owner {
    /// Forgets the runs whose workflow task does not wait for other code any more.
    pub(super) fn keep_failing(&mut self) {
        let runs = &self.runs;
        self.context.failing.retain(|run_id| {
            let run = runs.get(run_id);
            run.is_some_and(|run| run.waits_for_other_code())
        });
    }

    /// Tries the workflow tasks of a queue again that other code could not do, now that this code has come.
    pub(super) fn hasten_failing(&mut self, queue: &QueueKey, build: &BuildId) {
        self.keep_failing();
        let runs = &self.runs;
        let hastened = self.context.failing.iter().filter(|run_id| {
            runs.get(run_id).is_some_and(|run| {
                run.key.namespace == queue.0
                    && *run.execution.task_queue() == queue.1
                    && run.failed_build.as_ref() != Some(build)
            })
        });
        let hastened: Vec<RunId> = hastened.copied().collect();
        let now = self.context.now();
        for run_id in hastened {
            self.step(run_id, |context, run| {
                let decision = decide::hasten_workflow_task(&run.execution, now);
                context.carry_out(run, decision, Reply::None)
            });
        }
    }
}
