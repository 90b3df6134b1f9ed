//! What a run that is closed still owes others: the close policy to its children, answers to what it sent, its outcome to its parent.

use history::{EventId, RunId, decide::Effect};

use super::{Owner, run::After};
use crate::{committer::Command, store::commit::Settled};

/// Names what a closed run owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Debt {
    /// What this event initiated, until its answer is heard.
    Initiated(EventId),
    /// The close policy, to the child that this event initiated.
    CloseChild(EventId),
    /// Its outcome, to its parent.
    NotifyParent,
}

impl Debt {
    /// Names an effect, if it is one that others are owed.
    pub(crate) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::StartChild {
                initiated_event_id, ..
            }
            | Effect::SignalExternal {
                initiated_event_id, ..
            }
            | Effect::CancelExternal {
                initiated_event_id, ..
            } => Some(Self::Initiated(*initiated_event_id)),
            Effect::CloseChild {
                initiated_event_id, ..
            } => Some(Self::CloseChild(*initiated_event_id)),
            Effect::NotifyParent { .. } => Some(Self::NotifyParent),
            Effect::DispatchWorkflowTask { .. }
            | Effect::DispatchActivityTask { .. }
            | Effect::CancelActivity { .. }
            | Effect::StartNewRun { .. } => None,
        }
    }
}

impl Owner {
    /// A debt of a closed run is paid; when it was the last, the run has nothing left to do. It may owe a child's close twice
    /// ([`Self::close_late_child`]); an answer pays one of them.
    pub(super) fn paid(&mut self, debtor: RunId, debt: Debt) {
        let Some(run) = self.runs.get_mut(&debtor) else {
            return;
        };
        run.unheard_since = None;
        if let Some(at) = run
            .debts
            .iter()
            .position(|owed| Debt::of(owed) == Some(debt))
        {
            run.debts.swap_remove(at);
        }
        self.settle_debts(debtor);
        self.forget_if_over(debtor);
    }

    /// Lets the row of a closed run in `outbox` go when it owes nothing any more. Until that is durable the run stays, so
    /// that a late answer finds it, and not its history, from which everything would be delivered again.
    pub(super) fn settle_debts(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        // Before its close is durable there is no row to let go.
        let over = run.debts.is_empty() && run.is_durable() && !run.execution.is_open();
        if over && std::mem::take(&mut run.owes) {
            run.settling = true;
            let settled = Settled {
                shard: run.shard,
                run_id,
            };
            let _ = self.commits.send(Command::Settle(settled));
        }
    }

    /// The row of a closed run in `outbox` is gone.
    pub(super) fn settled(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.settling = false;
        }
        self.forget_if_over(run_id);
    }

    /// Closes a child that has started after its parent closed: the message that was to close it may have found nobody.
    pub(super) fn close_late_child(&mut self, parent: RunId, initiated_event_id: EventId) {
        #[cfg(test)]
        if crate::sim::planted::leaves_late_children() {
            return;
        }
        let Some(run) = self.runs.get_mut(&parent) else {
            return;
        };
        let close = Some(Debt::CloseChild(initiated_event_id));
        let mut owed = run.execution.debts().iter();
        if let Some(effect) = owed.find(|owed| Debt::of(owed) == close).cloned() {
            run.debts.push(effect.clone());
            // The close itself may be on its way still.
            if let Some(after) = run.when_durable(After::Effect(effect)) {
                self.do_after(parent, after);
            }
        }
    }
}
