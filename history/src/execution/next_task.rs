//! What follows a workflow task that ended without completion, and how long the next attempt waits and may take.

use super::run::Execution;
use crate::{limits, time::Millis};

/// What follows a workflow task that ended without completion, when workflow code need not be shown anything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextTask {
    /// A normal one for any worker: the failure may be one of the sticky worker only.
    Normal,
    /// The next attempt, which leaves no events unless it completes.
    Attempt {
        /// Which, from 2.
        attempt: u32,
        /// How long it waits.
        wait: Millis,
    },
}

/// Returns how long an attempt waits after the one before it ended: 1 s, 2 s, 4 s … from the second attempt on.
/// After a timeout the second attempt does not wait: its worker is gone, and others may be there.
pub(super) fn transient_backoff(attempt: u32, timed_out: bool) -> Millis {
    if timed_out && attempt <= 2 {
        return Millis::ZERO;
    }
    let doublings = attempt.saturating_sub(2).min(16);
    Millis(1000 << doublings).min(limits::WORKFLOW_TASK_BACKOFF_MAX)
}

impl Execution {
    /// Says what follows the pending workflow task if it ends without completion, by a timeout or a failure.
    pub(crate) fn next_task(&self, timed_out: bool) -> Option<NextTask> {
        let task = self.workflow_task()?;
        if self.sticky.is_some() || !task.is_started() {
            return Some(NextTask::Normal);
        }
        let attempt = task.attempt.saturating_add(1);
        let wait = transient_backoff(attempt, timed_out);
        Some(NextTask::Attempt { attempt, wait })
    }

    /// Returns the most time that an attempt of a workflow task has. From the fourth attempt on it grows,
    /// so that a long replay that never made it in time makes it at last.
    pub(crate) fn workflow_task_timeout(&self, attempt: u32) -> Millis {
        let base = self.started().workflow_task_timeout;
        if attempt <= limits::WORKFLOW_TASK_TIMEOUT_ATTEMPTS {
            return base;
        }
        let doublings = (attempt - limits::WORKFLOW_TASK_TIMEOUT_ATTEMPTS - 1).min(16);
        let more = Millis(5000 << doublings).min(limits::WORKFLOW_TASK_TIMEOUT_GROWTH_MAX);
        Millis(base.0.saturating_add(more.0))
    }
}
