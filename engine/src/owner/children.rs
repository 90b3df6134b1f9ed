//! Messages to children that are not known to have started: they wait, for they might arrive before the start does.

use history::{EventId, Namespace, WorkflowId, decide::Effect};

use crate::owner::{
    context::{Context, Step},
    state::run::Run,
};

/// A child, as its parent addresses it.
pub(super) type ChildName = (Namespace, WorkflowId);

impl Run {
    /// Says whether what a run sends to a child of its own has to wait until it is known whether that has started.
    pub(super) fn waits_for_child(&self, effect: &Effect) -> bool {
        #[cfg(test)]
        if crate::sim::planted::overtakes_starts() {
            return false;
        }
        let Some((namespace, workflow_id, message)) = to_child(effect) else {
            return false;
        };
        if self.execution.is_open() {
            return self.execution.children().any(|child| {
                let attributes = child.attributes();
                child.is_starting()
                    && child.initiated_event_id() < message
                    && attributes.workflow_id == *workflow_id
                    && attributes.namespace == *namespace
            });
        }
        self.deliveries.undelivered.iter().any(|effect| {
            matches!(effect, Effect::StartChild { start, namespace: of, .. }
                if start.workflow_id == *workflow_id && of == namespace)
        })
    }

    /// Returns the child that an event initiated, while it is not known to have started.
    pub(super) fn starting_child(&self, initiated_event_id: EventId) -> Option<ChildName> {
        if let Some(child) = self.execution.child(initiated_event_id) {
            let attributes = child.attributes();
            let name = || (attributes.namespace.clone(), attributes.workflow_id.clone());
            return child.start.is_none().then(name);
        }
        self.deliveries
            .undelivered
            .iter()
            .find_map(|effect| match effect {
                Effect::StartChild {
                    initiated_event_id: id,
                    start,
                    namespace,
                } if *id == initiated_event_id => {
                    Some((namespace.clone(), start.workflow_id.clone()))
                }
                Effect::StartChild { .. }
                | Effect::DispatchWorkflowTask { .. }
                | Effect::DispatchActivityTask { .. }
                | Effect::CancelActivity { .. }
                | Effect::SignalExternal { .. }
                | Effect::CancelExternal { .. }
                | Effect::CloseChild { .. }
                | Effect::NotifyParent { .. }
                | Effect::StartNewRun { .. } => None,
            })
    }
}

impl Context {
    /// Sends what has waited until it was known whether a child has started.
    pub(super) fn deliver_to_child(&mut self, run: &mut Run, child: Option<ChildName>) -> Step {
        let Some((namespace, workflow_id)) = child else {
            return Ok(());
        };
        // What is not durable yet is sent when it is.
        let last = run.durable_event_id();
        let has_waited = |effect: &Effect| {
            to_child(effect).is_some_and(|(of, id, message)| {
                *of == namespace && *id == workflow_id && message <= last
            })
        };
        let waited: Vec<Effect> = if run.execution.is_open() {
            let mut messages = run.execution.messages_to_child(&namespace, &workflow_id);
            messages.retain(has_waited);
            messages
        } else {
            let undelivered = run.deliveries.undelivered.iter();
            undelivered
                .filter(|effect| has_waited(effect))
                .cloned()
                .collect()
        };
        for effect in waited {
            self.deliver(run, effect)?;
        }
        Ok(())
    }
}

/// Returns the child that a message is for, if it is for one, and the event that asked for it.
fn to_child(effect: &Effect) -> Option<(&Namespace, &WorkflowId, EventId)> {
    match effect {
        Effect::SignalExternal {
            initiated_event_id,
            target,
            ..
        }
        | Effect::CancelExternal {
            initiated_event_id,
            target,
            ..
        } => target.only_child_of.is_some().then_some((
            &target.namespace,
            &target.workflow_id,
            *initiated_event_id,
        )),
        // The close policy waits for nothing: it is sent again when a child has started late.
        Effect::CloseChild { .. }
        | Effect::StartChild { .. }
        | Effect::NotifyParent { .. }
        | Effect::StartNewRun { .. }
        | Effect::DispatchWorkflowTask { .. }
        | Effect::DispatchActivityTask { .. }
        | Effect::CancelActivity { .. } => None,
    }
}
