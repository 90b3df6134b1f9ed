//! Events that end what was waited for.

use crate::{
    event::{EventKind, RefersTo, Relation, Subject},
    execution::external::External,
    ids::EventId,
};

/// What an event ends: an activity, a child, or something that was sent to another workflow.
pub(super) struct End {
    /// The event that began it.
    pub(super) event_id: EventId,
    pub(super) what: Ended,
}

pub(super) enum Ended {
    Activity { started_event_id: EventId },
    ChildThatDidNotStart,
    Child { started_event_id: EventId },
    External(External),
}

impl End {
    /// Returns what an event ends, if it is one that does; a timer's end is known by the timer's id.
    pub(super) fn of(kind: &EventKind) -> Option<Self> {
        let RefersTo {
            event_id,
            subject,
            relation,
        } = kind.refers_to()?;
        let what = match (subject, relation) {
            (Subject::Activity, Relation::Ends { started_event_id }) => {
                Ended::Activity { started_event_id }
            }
            (Subject::ChildWorkflow, Relation::FailsToStart) => Ended::ChildThatDidNotStart,
            (Subject::ChildWorkflow, Relation::Ends { started_event_id }) => {
                Ended::Child { started_event_id }
            }
            (Subject::ExternalSignal, Relation::Ends { .. }) => Ended::External(External::Signal),
            (Subject::ExternalCancel, Relation::Ends { .. }) => Ended::External(External::Cancel),
            (
                Subject::Activity
                | Subject::ChildWorkflow
                | Subject::ExternalSignal
                | Subject::ExternalCancel,
                Relation::Starts
                | Relation::FailsToStart
                | Relation::RequestsCancel
                | Relation::AnswersCancel
                | Relation::Changes,
            )
            | (
                Subject::WorkflowTask | Subject::Timer | Subject::Update | Subject::NexusOperation,
                _,
            ) => return None,
        };
        Some(Self { event_id, what })
    }
}
