//! Notices workflow code that keeps its thread for too long.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use history::{RunId, WorkflowType};

/// Code that keeps the thread for longer is logged: all other runs of the worker wait for it.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// What the driver's thread works on.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<Busy>>);

struct Busy {
    since: Instant,
    run_id: RunId,
    workflow_type: WorkflowType,
    logged: bool,
}

impl Watch {
    pub(super) fn begin(&self, run_id: RunId, workflow_type: &WorkflowType) {
        self.set(Some(Busy {
            since: Instant::now(),
            run_id,
            workflow_type: workflow_type.clone(),
            logged: false,
        }));
    }

    pub(super) fn end(&self) {
        self.set(None);
    }

    fn set(&self, busy: Option<Busy>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = busy;
    }

    /// Logs, once, code that has kept the thread for too long.
    pub(crate) fn look(&self, now: Instant) {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(busy) = &mut *busy
            && !busy.logged
            && now.duration_since(busy.since) >= SLOW
        {
            busy.logged = true;
            tracing::warn!(
                run_id = %busy.run_id, workflow_type = %busy.workflow_type,
                "workflow code has run for over a second without waiting; move long work into an activity"
            );
        }
    }
}
