//! Signals to others and cancellations of others that are not answered.

use std::{collections::BTreeMap, sync::Arc};

use super::{Execution, memory};
use crate::{
    effect::Effect,
    event::{Event, EventKind},
    ids::{EventId, Namespace, WorkflowId},
};

/// What is sent to another workflow.
#[derive(Debug, Clone, Copy)]
pub(super) enum External {
    Signal,
    Cancel,
}

/// A signal to another workflow, or its cancellation, that is not answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalState {
    /// Its initiated event.
    pub initiated: Arc<Event>,
    /// Whether it was answered, and the event of that waits for the end of the workflow task under way.
    pub answered: bool,
}

impl Execution {
    /// Returns a signal or a cancellation by its initiated event.
    pub(crate) fn external(&self, initiated_event_id: EventId) -> Option<&ExternalState> {
        self.external_signals
            .get(&initiated_event_id)
            .or_else(|| self.external_cancels.get(&initiated_event_id))
            .map(Box::as_ref)
    }

    /// Returns what this run has sent to a child of that id, as a child of its own, and has no answer to.
    pub fn messages_to_child(
        &self,
        namespace: &Namespace,
        workflow_id: &WorkflowId,
    ) -> Vec<Effect> {
        let unanswered = self
            .external_signals()
            .chain(self.external_cancels())
            .filter(|external| !external.answered);
        let mut messages: Vec<_> = unanswered
            .filter(|external| match &external.initiated.kind {
                EventKind::SignalExternalWorkflowExecutionInitiated(a) => {
                    a.child_workflow_only
                        && (&a.namespace, &a.workflow_id) == (namespace, workflow_id)
                }
                EventKind::RequestCancelExternalWorkflowExecutionInitiated(a) => {
                    a.child_workflow_only
                        && (&a.namespace, &a.workflow_id) == (namespace, workflow_id)
                }
                _ => false,
            })
            .collect();
        messages.sort_by_key(|external| external.initiated.id);
        messages
            .into_iter()
            .filter_map(|external| Effect::of_initiated(self, &external.initiated))
            .collect()
    }

    pub(super) fn external_initiated(&mut self, what: External, event: &Arc<Event>) {
        self.pending_bytes += memory::kept_bytes(event);
        let state = Box::new(ExternalState {
            initiated: Arc::clone(event),
            answered: false,
        });
        self.externals(what).insert(event.id, state);
    }

    pub(super) fn external_answer_was_buffered(
        &mut self,
        what: External,
        initiated_event_id: EventId,
    ) -> Result<(), &'static str> {
        let state = self
            .externals(what)
            .get_mut(&initiated_event_id)
            .filter(|state| !state.answered)
            .ok_or("it was not asked for, or is answered")?;
        state.answered = true;
        Ok(())
    }

    pub(super) fn external_answered(
        &mut self,
        what: External,
        initiated_event_id: EventId,
    ) -> Result<(), &'static str> {
        let state = self
            .externals(what)
            .remove(&initiated_event_id)
            .ok_or("it was not asked for, or is answered")?;
        self.pending_bytes -= memory::kept_bytes(&state.initiated);
        Ok(())
    }
    fn externals(&mut self, what: External) -> &mut BTreeMap<EventId, Box<ExternalState>> {
        match what {
            External::Signal => &mut self.external_signals,
            External::Cancel => &mut self.external_cancels,
        }
    }
}
