//! How buffered events are put in order, and an end finds the event of its start.

use crate::{
    event::{EventKind, RefersTo, Relation, Subject},
    ids::EventId,
};

/// Says whether a buffered event goes behind the others. Temporal does so, and SDKs rely on signals coming first.
pub(super) fn goes_last(kind: &EventKind) -> bool {
    end_of(kind).is_some()
}

/// Returns what an event says the start of: an activity or a child, by its first event.
pub(super) fn start_of(kind: &EventKind) -> Option<EventId> {
    let subject = of_activity_or_child(kind)?;
    match subject.relation {
        Relation::Starts => Some(subject.event_id),
        Relation::FailsToStart
        | Relation::RequestsCancel
        | Relation::AnswersCancel
        | Relation::Changes
        | Relation::Ends { .. } => None,
    }
}

/// Returns what an event says the end of: an activity or a child, by its first event. It names the event of the start.
pub(super) fn end_of(kind: &EventKind) -> Option<EventId> {
    let subject = of_activity_or_child(kind)?;
    match subject.relation {
        Relation::Ends { .. } => Some(subject.event_id),
        Relation::Starts
        | Relation::FailsToStart
        | Relation::RequestsCancel
        | Relation::AnswersCancel
        | Relation::Changes => None,
    }
}

fn of_activity_or_child(kind: &EventKind) -> Option<RefersTo> {
    kind.refers_to()
        .filter(|refers_to| match refers_to.subject {
            Subject::Activity | Subject::ChildWorkflow => true,
            Subject::WorkflowTask
            | Subject::Timer
            | Subject::ExternalSignal
            | Subject::ExternalCancel
            | Subject::Update
            | Subject::NexusOperation => false,
        })
}
