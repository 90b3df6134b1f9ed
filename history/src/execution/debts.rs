//! What a run that closes still owes others.

use super::{ChildState, Execution};
use crate::{
    EventId,
    decide::{
        ChildOutcome, Effect,
        close::{close_child, notify_parent},
    },
    event::{Event, ParentClosePolicy},
};

impl Execution {
    /// Returns what is to be delivered when the run closes with this event: the close policy to its children, what it sent and was
    /// not answered, and the outcome to its parent. A child that is not known to have started is started and then closed, for its
    /// start may be on its way and arrive at any time: started again by the same request it is the same child. One that was asked
    /// for by the completion whose command closes the run was never sent for; it starts only if it is to live on.
    pub(super) fn debts_at(&self, closed: &Event, completed: Option<EventId>) -> Vec<Effect> {
        let asked_now = |child: &ChildState| {
            Some(child.attributes().workflow_task_completed_event_id) == completed
        };
        let abandoned = |child: &ChildState| {
            child.attributes().parent_close_policy == ParentClosePolicy::Abandon
        };
        let to_start = self
            .children()
            .filter(|child| child.run_id.is_none() && !child.closed)
            .filter(|child| abandoned(child) || !asked_now(child))
            .filter_map(|child| Effect::of_initiated(self, &child.initiated));
        let to_close = self
            .children()
            .filter(|child| !asked_now(child))
            .filter_map(|child| close_child(self, child));
        let unanswered = self
            .external_signals()
            .chain(self.external_cancels())
            .filter(|external| !external.answered)
            .filter_map(|external| Effect::of_initiated(self, &external.initiated));
        let parent =
            ChildOutcome::of(&closed.kind).and_then(|outcome| notify_parent(self, outcome));
        to_start
            .chain(to_close)
            .chain(unanswered)
            .chain(parent)
            .collect()
    }
}
