//! A draft becomes a decision, unless the history would grow too long by it.

use crate::{
    decide::{Decision, Rejection, closing::terminated, draft::Draft},
    execution::Execution,
    payload::Payloads,
    requests::Terminate,
    time::Timestamp,
};

impl Draft<'_> {
    pub(super) fn finish(self) -> Decision {
        if self.is_too_long() {
            return too_long(self.exec, self.at, "51,200 events");
        }
        self.drafted()
    }

    /// Schedules a workflow task for what arrived, unless one is pending that will show it, or the first one waits.
    pub(super) fn finish_arrival(mut self) -> Decision {
        if !self.is_buffering() && !self.exec.awaits_first_task() {
            self.need_task();
        }
        self.finish()
    }

    pub(super) fn refuse(self, refusal: Rejection) -> Decision {
        let mut decision = self.finish();
        decision.refusal.get_or_insert(refusal);
        decision
    }
}

/// Ends a run whose history has grown too long or too large.
pub(super) fn too_long(exec: &Execution, now: Timestamp, limit: &'static str) -> Decision {
    let request = Terminate {
        reason: format!("history has grown beyond {limit}"),
        details: Payloads::default(),
        identity: None,
    };
    terminated(exec, &request, now).refuse(Rejection::HistoryTooLong(limit))
}
