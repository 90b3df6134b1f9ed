//! What a run that closes has still to deliver to others.

use super::{child_workflow::ChildState, run::Execution};
use crate::{
    EventId,
    effect::{Effect, Target},
    event::{Event, EventKind, ParentClosePolicy},
    requests::{ChildClosed, ChildOutcome},
};

impl Execution {
    /// Returns what is to be delivered when the run closes with this event: the close policy to its children, what it sent and was
    /// not answered, and the outcome to its parent. A child that is not known to have started is started and then closed, for its
    /// start may be on its way and arrive at any time: started again by the same request it is the same child. One that was asked
    /// for by the completion whose command closes the run was never sent for; it starts only if it is to live on.
    pub(super) fn undelivered_at(&self, closed: &Event, completed: Option<EventId>) -> Vec<Effect> {
        let asked_now = |child: &ChildState| {
            Some(child.attributes().workflow_task_completed_event_id) == completed
        };
        let abandoned = |child: &ChildState| {
            child.attributes().parent_close_policy == ParentClosePolicy::Abandon
        };
        let to_start = self
            .starting_children()
            .filter(|child| abandoned(child) || !asked_now(child))
            .filter_map(|child| Effect::of_initiated(self, &child.initiated));
        let sent_for = self.children().filter(|child| !asked_now(child));
        let unanswered = self
            .unanswered()
            .filter_map(|external| Effect::of_initiated(self, &external.initiated));
        to_start
            .chain(self.close_children(sent_for))
            .chain(unanswered)
            .chain(self.notify_parent(&closed.kind))
            .collect()
    }

    /// Returns what the close of the run means for its children that are open.
    pub(crate) fn close_children<'a>(
        &self,
        children: impl Iterator<Item = &'a ChildState>,
    ) -> impl Iterator<Item = Effect> {
        children
            .filter(|child| !child.end_is_buffered)
            .filter_map(|child| self.close_child(child))
    }

    fn close_child(&self, child: &ChildState) -> Option<Effect> {
        let attributes = child.attributes();
        let policy = attributes.parent_close_policy;
        (policy != ParentClosePolicy::Abandon).then(|| Effect::CloseChild {
            initiated_event_id: child.initiated_event_id(),
            policy,
            target: Target {
                namespace: attributes.namespace.clone(),
                workflow_id: attributes.workflow_id.clone(),
                run_id: None,
                only_child_of: Some(self.origin_of(child.initiated_event_id()).run_id),
            },
        })
    }

    /// Returns what the parent is told when the run closes with this event: nothing if there is none, or another run follows.
    pub(crate) fn notify_parent(&self, closed: &EventKind) -> Option<Effect> {
        let started = self.started();
        let namespace = started.parent_workflow_namespace.clone()?;
        let parent = started.parent_workflow_execution.clone()?;
        let outcome = ChildOutcome::of(closed)?;
        Some(Effect::NotifyParent {
            namespace,
            parent,
            closed: Box::new(ChildClosed {
                initiated_event_id: started.parent_initiated_event_id,
                execution: self.workflow_execution(),
                first_run_id: started.first_execution_run_id,
                workflow_type: self.workflow_type().clone(),
                outcome,
            }),
        })
    }
}
