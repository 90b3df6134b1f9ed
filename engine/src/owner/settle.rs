//! What follows a change of a run: its records are staged and go on their way.

use std::cmp::Reverse;

use history::{
    RunId,
    decide::{self, Decision, Effect, Rejection},
    limits::HISTORY_BYTES_MAX,
};
use tokio::time::Instant;

use crate::{
    committer::Command,
    owner::{
        Owner,
        context::{Context, FOLDED_AGAIN, FoldAgain, Next, Step},
        state::{
            run::{Run, Successor},
            writing::After,
        },
    },
    words::{Answer, Reply},
};

impl Context {
    /// Applies and stages what was decided; what it asks for is done when it is durable.
    pub(super) fn record(&mut self, run: &mut Run, decision: Decision) -> Step {
        #[cfg(test)]
        let decision = crate::sim::planted::alter(decision);
        let run_id = run.run_id();
        run.touched_at = Instant::now();
        let was_open = run.execution.is_open();
        let out = run.task.session();
        for record in decision.records {
            if let Err(corrupt) = run.stage(record) {
                // The core refuses its own decision: a bug in it. The run is folded again from what is durable.
                tracing::error!(error = &corrupt as &dyn std::error::Error, %run_id, "a decision can't be applied");
                return Err(FoldAgain("a decision can't be applied"));
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
        if let Some(session) = outdated {
            self.evict(session, run_id);
        }
        if run.waits_for_other_code() {
            self.note_failing(run_id);
        }
        for effect in decision.effects {
            match effect {
                // Told by the state itself, see `settle`: it need not wait for the commit.
                Effect::DispatchWorkflowTask { .. } => {}
                Effect::StartNewRun {
                    run_id: successor,
                    start,
                } => self.start_successor(run, successor, &start)?,
                effect => {
                    if let Some(after) = run.when_durable(After::Effect(effect)) {
                        self.do_after(run, after)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Records a decision, and answers.
    pub(super) fn carry_out(
        &mut self,
        run: &mut Run,
        decision: Result<Decision, Rejection>,
        reply: Reply,
    ) -> Step {
        let answer = match decision {
            Ok(mut decision) => {
                let refusal = decision.refusal.take();
                let answer = refusal.map_or(Ok(()), |refusal| Err(refusal.into()));
                self.record_for(run, decision, Answer::Operation { reply, answer })?
            }
            Err(rejection) => Answer::Operation {
                reply,
                answer: Err(rejection.into()),
            },
        };
        self.tell_when_durable(run, answer)?;
        self.settle(run)
    }

    /// Records a decision for somebody who waits for this answer, and gives it back. If the run can't go on, he hears so.
    pub(super) fn record_for(
        &mut self,
        run: &mut Run,
        decision: Decision,
        answer: Answer,
    ) -> Step<Answer> {
        match self.record(run, decision) {
            Ok(()) => Ok(answer),
            Err(again) => {
                self.tell_next(answer.or(FOLDED_AGAIN));
                Err(again)
            }
        }
    }

    /// Begins the run that follows one that closes; both are written together.
    fn start_successor(
        &mut self,
        run: &mut Run,
        successor: RunId,
        start: &decide::StartWorkflow,
    ) -> Step {
        match decide::start_after(&run.execution, successor, start, self.now()) {
            Ok(decision) => {
                let next = self.begin_successor(run, successor, start, decision)?;
                run.successor = Successor::Staged(next);
                Ok(())
            }
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, run_id = %run.run_id(), "the run that follows can't be started");
                Err(FoldAgain("the run that follows can't be started"))
            }
        }
    }

    /// Does what the run's state asks for: hands its workflow task out, and sends its records on their way
    /// unless they wait for that task's commands.
    pub(super) fn settle(&mut self, run: &mut Run) -> Step {
        self.hand_out_workflow_task(run)?;
        if run.has_staged() {
            let now = Instant::now();
            let lingers = run.task.linger_until().is_some_and(|until| now < until);
            if !lingers {
                self.flush(run);
            }
        }
        self.end_if_too_large(run)?;
        self.schedule_wake(run);
        self.weigh(run);
        Ok(())
    }

    /// Terminates a run whose history is larger than any may be.
    fn end_if_too_large(&mut self, run: &mut Run) -> Step {
        if run.bytes <= HISTORY_BYTES_MAX || !run.execution.is_open() {
            return Ok(());
        }
        let terminate = decide::Terminate {
            reason: format!(
                "the history has more than {HISTORY_BYTES_MAX} bytes, the most a run may have; continue as new before that"
            ),
            details: history::Payloads::default(),
            identity: None,
        };
        // A rejection means that it is closed, which is as good.
        if let Ok(decision) = decide::terminate(&run.execution, &terminate, self.now()) {
            self.record(run, decision)?;
            self.flush(run);
        }
        Ok(())
    }

    /// Sends the staged records to the committer, and those of the run that follows with them.
    pub(super) fn flush(&mut self, run: &mut Run) {
        if !run.has_staged() {
            return;
        }
        let mut item = run.flush();
        if let Some(mut next) = run.successor.send() {
            next.flush_into(&mut item);
            self.next.push_back(Next::Began(next));
        }
        // A committer that has ended takes the owner with it.
        let _ = self.commits.send(Command::Commit(item));
    }
}

impl Owner {
    /// Sends the rows on their way that have waited long enough for commands.
    pub(super) fn end_lingering(&mut self) {
        let now = Instant::now();
        let lingers = |context: &Context| {
            let first = context.lingering.peek().copied();
            first.filter(|Reverse((until, _))| *until <= now)
        };
        while let Some(Reverse((until, run_id))) = lingers(&self.context) {
            self.context.lingering.pop();
            // One that is gone has been answered since, or was folded again.
            self.step(run_id, |context, run| {
                if run.task.linger_until() == Some(until) {
                    context.flush(run);
                }
                Ok(())
            });
        }
    }
}
