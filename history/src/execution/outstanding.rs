//! What a crash may have lost of what decisions asked of the shell.

use super::{
    activity::AttemptState, child_workflow::ChildState, external::ExternalState, run::Execution,
};
use crate::{
    effect::Effect,
    event::EventKind,
    ids::{Namespace, WorkflowId},
};

impl Execution {
    /// Returns what a closed run had still to deliver at its close.
    pub fn undelivered(&self) -> &[Effect] {
        &self.undelivered
    }

    /// Returns the effects that are still to be carried out, as far as records tell. Receivers take each twice
    /// without harm. Of a closed run it is what it had still to deliver at its close.
    pub fn outstanding(&self) -> Vec<Effect> {
        if self.close_event.is_some() {
            return self.undelivered.to_vec();
        }
        let task = self
            .workflow_task()
            .filter(|task| task.is_ready())
            .map(Effect::dispatch_workflow_task);
        let activities = self
            .activities()
            .filter_map(|activity| match activity.state {
                AttemptState::Scheduled { .. } => Some(Effect::dispatch_activity_task(activity)),
                AttemptState::Started { .. } => activity
                    .cancel_requested_event_id
                    .is_some()
                    .then(|| Effect::cancel_activity(activity)),
                AttemptState::Backoff { .. } | AttemptState::Ended => None,
            });
        let children = self
            .starting_children()
            .filter_map(|child| Effect::of_initiated(self, &child.initiated));
        let externals = self
            .unanswered()
            .filter_map(|external| Effect::of_initiated(self, &external.initiated));
        task.into_iter()
            .chain(activities)
            .chain(children)
            .chain(externals)
            .collect()
    }

    /// Returns the children that are not known to have started, or not to.
    pub(super) fn starting_children(&self) -> impl Iterator<Item = &ChildState> {
        self.children().filter(|child| child.is_starting())
    }

    /// Returns what was sent to other workflows and is not answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &ExternalState> {
        self.external_signals()
            .chain(self.external_cancels())
            .filter(|external| !external.end_is_buffered)
    }

    /// Returns what this run has sent to a child of that id, as a child of its own, and has no answer to.
    pub fn messages_to_child(
        &self,
        namespace: &Namespace,
        workflow_id: &WorkflowId,
    ) -> Vec<Effect> {
        let mut messages: Vec<_> = self
            .unanswered()
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
}
