//! What is known of a run from its first event and its task.

use std::sync::Arc;

use history::{Event, EventKind, Namespace, RunId, WorkflowId, event::WorkflowExecutionStarted};

/// What is known of a run from its first event and its task.
pub(crate) struct Facts {
    pub(crate) namespace: Namespace,
    pub(crate) run_id: RunId,
    pub(crate) first: Arc<Event>,
}

impl Facts {
    pub(crate) fn started(&self) -> &WorkflowExecutionStarted {
        match &self.first.kind {
            EventKind::WorkflowExecutionStarted(started) => started,
            other => unreachable!(
                "a run is built on WorkflowExecutionStarted, not {}",
                other.name()
            ),
        }
    }

    pub(crate) fn workflow_id(&self) -> &WorkflowId {
        &self.started().workflow_id
    }
}
