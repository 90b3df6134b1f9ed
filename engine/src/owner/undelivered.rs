//! What a run that is closed has still to deliver: the close policy to its children, what it sent, its outcome to its parent.

use history::{EventId, RunId};

use crate::{
    committer::Command,
    owner::{
        Owner,
        context::{Context, Step},
        state::{deliveries::Outbox, run::Run, writing::After},
    },
    store::RunRef,
    words::Undelivered,
};

impl Context {
    /// What a closed run had still to deliver is delivered; when it was the last, the run has nothing left to do. It may have to close a
    /// child twice ([`Self::close_late_child`]); an answer counts for one of them.
    pub(super) fn delivered(&mut self, run: &mut Run, what: Undelivered) {
        run.deliveries.delivered(what);
        self.leave_outbox(run);
    }

    /// Lets the row of a closed run in `outbox` go when all is delivered. Until that is durable the run stays, so
    /// that a late answer finds it, and not its history, from which everything would be delivered again.
    pub(super) fn leave_outbox(&mut self, run: &mut Run) {
        // Before its close is durable there is no row to let go.
        let over =
            run.deliveries.undelivered.is_empty() && run.is_durable() && !run.execution.is_open();
        if over && run.deliveries.outbox == Outbox::Kept {
            run.deliveries.outbox = Outbox::Leaving;
            let delivered = RunRef {
                shard: run.shard,
                run_id: run.run_id(),
            };
            let _ = self.commits.send(Command::Delivered(delivered));
        }
    }

    /// Closes a child that has started after its parent closed: the message that was to close it may have found nobody.
    pub(super) fn close_late_child(&mut self, run: &mut Run, initiated_event_id: EventId) -> Step {
        #[cfg(test)]
        if crate::sim::planted::leaves_late_children() {
            return Ok(());
        }
        let close = Some(Undelivered::CloseChild(initiated_event_id));
        let mut effects = run.execution.undelivered().iter();
        let Some(effect) = effects
            .find(|effect| Undelivered::of(effect) == close)
            .cloned()
        else {
            // Its policy is to be abandoned.
            return Ok(());
        };
        run.deliveries.undelivered.push(effect.clone());
        // The close itself may be on its way still.
        match run.when_durable(After::Effect(effect)) {
            Some(after) => self.do_after(run, after),
            None => Ok(()),
        }
    }
}

impl Owner {
    /// The row of a closed run in `outbox` is gone.
    pub(super) fn left_outbox(&mut self, run_id: RunId) {
        // One that is gone went with its shard, or was folded again.
        self.step(run_id, |_, run| {
            run.deliveries.outbox = Outbox::Empty;
            Ok(())
        });
    }
}
