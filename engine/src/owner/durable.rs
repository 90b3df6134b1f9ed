//! A batch came back: what is durable may be seen and done, what was not written is folded again.

use crate::{
    Error, Started,
    committer::{Command, Outcome, Refusal},
    owner::{
        Owner,
        context::{Context, Step},
        state::{run::Run, writing::After},
    },
    store::commit::{Item, OpenChange},
    words::Answer,
};

impl Owner {
    pub(super) fn committed(&mut self, outcome: Outcome) {
        for item in outcome.committed {
            self.item_committed(item);
        }
        for delivered in outcome.delivered {
            self.left_outbox(delivered.run_id);
        }
        for answer in outcome.confirmed {
            self.tell(answer);
        }
        for item in outcome.conflicting {
            self.item_conflicts(&item);
        }
        for (item, refusal) in outcome.refused {
            match &refusal {
                Refusal::Locked => tracing::warn!(
                    workflow_id = %item.workflow_id,
                    "another session keeps a lock in the database that a workflow needs; nothing was written"
                ),
                Refusal::Data(_) | Refusal::Failing(_) => tracing::error!(
                    workflow_id = %item.workflow_id, %refusal, "the database refused the data of a workflow"
                ),
            }
            self.not_written(&item, || Error::from(&refusal));
        }
    }

    fn item_committed(&mut self, item: Item) {
        for start in &item.starts {
            if let Some(origin) = self
                .runs
                .get_mut(&start.run_id)
                .and_then(|run| run.origin.take())
            {
                self.answer_start(
                    origin.reply,
                    Ok(Started {
                        run_id: start.run_id,
                        started: true,
                    }),
                );
                self.context.local.extend(origin.behind);
            }
        }
        for part in item.parts {
            // One that is gone was folded again since: another item of its folding could not be written, or it could not go on.
            self.step(part.run_id, |context, run| {
                let mut due = run.writing.committed(part.number).into_iter();
                while let Some(after) = due.next() {
                    if let Err(again) = context.do_after(run, after) {
                        run.writing.put_back(due);
                        return Err(again);
                    }
                }
                context.answer_waiters(run);
                context.redeliver(run)?;
                context.settle(run)?;
                context.leave_outbox(run);
                Ok(())
            });
        }
        if let Some(OpenChange { run_id, row }) = item.open {
            self.registered(run_id, row);
        }
    }

    /// Tells whoever waits what has come of something.
    pub(super) fn tell(&mut self, answer: Answer) {
        match answer {
            Answer::Operation { reply, answer } => self.answer(reply, answer),
            Answer::Start { reply, answer } => self.answer_start(reply, answer),
        }
    }
}

impl Context {
    /// Does what waited for a row to be durable.
    pub(super) fn do_after(&mut self, run: &mut Run, after: After) -> Step {
        match after {
            After::Effect(effect) => return self.deliver(run, effect),
            After::HandOut {
                session,
                hand_out,
                attempt_scheduled_at,
            } => self.send_activity(run, session, hand_out, attempt_scheduled_at),
            After::Answer(answer) => self.tell_next(answer),
            After::Confirm(answer) => {
                let _ = self.commits.send(Command::Confirm(answer));
            }
        }
        Ok(())
    }

    /// Tells somebody what was decided on a run, when what it was decided on is durable. What is written finds out that this
    /// member was replaced meanwhile; where nothing is, a batch is to find it out before somebody else hears of it.
    pub(super) fn tell_when_durable(&mut self, run: &mut Run, answer: Answer) -> Step {
        if answer.is_for_nobody() {
            return Ok(());
        }
        let written = run.has_staged() || answer.is_for_own_workflow();
        #[cfg(test)]
        let written = written || crate::sim::planted::answers_unconfirmed();
        let after = if written {
            After::Answer(answer)
        } else {
            After::Confirm(answer)
        };
        match run.when_durable(after) {
            Some(after) => self.do_after(run, after),
            None => Ok(()),
        }
    }
}
