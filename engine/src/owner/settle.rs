//! What follows a change of a run: its records are staged and go on their way.

use std::cmp::Reverse;

use history::{
    RunId,
    decide::{self, Decision, Effect},
    limits::HISTORY_BYTES_MAX,
};
use tokio::time::Instant;

use crate::{
    committer::Command,
    owner::{Owner, state::writing::After},
};

impl Owner {
    /// Applies and stages what was decided; what it asks for is done when it is durable.
    pub(super) fn record(&mut self, run_id: RunId, decision: Decision) {
        #[cfg(test)]
        let decision = crate::sim::planted::alter(decision);
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.touched_at = Instant::now();
        let was_open = run.execution.is_open();
        let out = run.task.session();
        for record in decision.records {
            if let Err(corrupt) = run.stage(record) {
                // The core refuses its own decision: a bug in it. The run is folded again from what is durable.
                tracing::error!(error = &corrupt as &dyn std::error::Error, %run_id, "a decision can't be applied");
                return self.fold_again(run_id, "a decision can't be applied");
            }
        }
        // Its task timed out, or the run closed under it: nobody waits for the answer of the worker that has it.
        let outdated =
            out.filter(|_| !run.task.is_out() || run.execution.workflow_task().is_none());
        if outdated.is_some() {
            run.task.take_back();
            run.affinity = None;
        }
        if was_open && !run.execution.is_open() {
            // Every one of them is answered, some to what the run had sent before it closed.
            run.deliveries.undelivered = run.execution.undelivered().to_vec();
        }
        let waits = run.waits_for_other_code();
        if let Some(session) = outdated {
            self.evict(session, run_id);
        }
        if waits {
            self.note_failing(run_id);
        }
        for effect in decision.effects {
            match effect {
                // Told by the state itself, see `settle`: it need not wait for the commit.
                Effect::DispatchWorkflowTask { .. } => {}
                Effect::StartNewRun {
                    run_id: successor,
                    start,
                } => self.start_successor(run_id, successor, &start),
                effect => {
                    let Some(run) = self.runs.get_mut(&run_id) else {
                        return;
                    };
                    if let Some(after) = run.when_durable(After::Effect(effect)) {
                        self.do_after(run_id, after);
                    }
                }
            }
        }
    }

    /// Begins the run that follows one that closes; both are written together.
    fn start_successor(&mut self, run_id: RunId, successor: RunId, start: &decide::StartWorkflow) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.successor = Some(successor);
        let (key, incarnation) = (run.key.clone(), run.incarnation);
        let decided = decide::start_after(&run.execution, successor, start, now);
        match decided {
            Ok(decision) => {
                self.insert_started(key, successor, start, Some(run_id), incarnation);
                self.record(successor, decision);
            }
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, %run_id, "the run that follows can't be started");
                self.fold_again(run_id, "the run that follows can't be started");
            }
        }
    }

    /// Does what the run's state asks for: hands its workflow task out, and sends its records on their way
    /// unless they wait for that task's commands.
    pub(super) fn settle(&mut self, run_id: RunId) {
        self.hand_out_workflow_task(run_id);
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        if run.has_staged() {
            let now = Instant::now();
            let lingers = run.task.linger_until().is_some_and(|until| now < until);
            if !lingers {
                self.flush(run_id);
            }
        }
        self.end_if_too_large(run_id);
        self.schedule_wake(run_id);
        self.weigh(run_id);
    }

    /// Terminates a run whose history is larger than any may be.
    fn end_if_too_large(&mut self, run_id: RunId) {
        let now = self.now();
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        if run.bytes <= HISTORY_BYTES_MAX || !run.execution.is_open() {
            return;
        }
        let terminate = decide::Terminate {
            reason: format!(
                "the history has more than {HISTORY_BYTES_MAX} bytes, the most a run may have; continue as new before that"
            ),
            details: history::Payloads::default(),
            identity: None,
        };
        // A rejection means that it is closed, which is as good.
        if let Ok(decision) = decide::terminate(&run.execution, &terminate, now) {
            self.record(run_id, decision);
            self.flush(run_id);
        }
    }

    /// Sends the staged records to the committer, and those of the run that follows with them.
    pub(super) fn flush(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        if !run.has_staged() {
            return;
        }
        let mut item = run.flush();
        let successor = run.successor;
        if let Some(successor) = successor
            && let Some(next) = self.runs.get_mut(&successor)
            && next.writing.start_row.is_some()
        {
            next.flush_into(&mut item);
        }
        // A committer that has ended takes the owner with it.
        let _ = self.commits.send(Command::Commit(item));
        if let Some(successor) = successor {
            self.settle(successor);
        }
    }

    /// Sends the rows on their way that have waited long enough for commands.
    pub(super) fn end_lingering(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((until, run_id))) = self
            .lingering
            .peek()
            .copied()
            .filter(|Reverse((until, _))| *until <= now)
        {
            self.lingering.pop();
            if self
                .runs
                .get(&run_id)
                .is_some_and(|run| run.task.linger_until() == Some(until))
            {
                self.flush(run_id);
            }
        }
    }
}
