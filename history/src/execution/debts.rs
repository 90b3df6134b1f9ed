//! What a run that closes still owes others.

use super::Execution;
use crate::{
    decide::{
        ChildOutcome, Effect,
        close::{close_child, notify_parent},
    },
    event::{Event, ParentClosePolicy},
};

impl Execution {
    /// Returns what is to be delivered when the run closes with this event: the close policy to its children, the start of
    /// children that are to live on, what it sent and was not answered, and the outcome to its parent.
    pub(super) fn debts_at(&self, closed: &Event) -> Vec<Effect> {
        let children = self.children().filter_map(|child| close_child(self, child));
        let living_on = self
            .children()
            .filter(|child| child.run_id.is_none() && !child.closed)
            .filter(|child| child.attributes().parent_close_policy == ParentClosePolicy::Abandon)
            .filter_map(|child| Effect::of_initiated(self, &child.initiated));
        let unanswered = self
            .external_signals()
            .chain(self.external_cancels())
            .filter(|external| !external.answered)
            .filter_map(|external| Effect::of_initiated(self, &external.initiated));
        let parent =
            ChildOutcome::of(&closed.kind).and_then(|outcome| notify_parent(self, outcome));
        children
            .chain(living_on)
            .chain(unanswered)
            .chain(parent)
            .collect()
    }
}
