//! What an event is about, and the command that made it: each a lookup, the same for all types of events.
//!
//! All events of one activity, timer, child and so on name the same first event, each type under a name of its own. Here it has one
//! name, so that a list of events is grouped by [`Event::first_event_id`].

use serde::Serialize;

use crate::{
    event::{Event, EventKind},
    ids::EventId,
};

/// What an event refers to: the thing that an earlier event began, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefersTo {
    /// The first event of that thing: scheduled, started (of a timer), initiated or accepted.
    pub event_id: EventId,
    /// What kind of thing it is.
    pub subject: Subject,
    /// What the event says of it.
    #[serde(flatten)]
    pub relation: Relation,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Subject {
    /// A turn of workflow code, from `WorkflowTaskScheduled` on.
    WorkflowTask,
    /// An activity, from `ActivityTaskScheduled` on.
    Activity,
    /// A timer, from `TimerStarted` on.
    Timer,
    /// A child, from `StartChildWorkflowExecutionInitiated` on.
    ChildWorkflow,
    /// A signal to another workflow, from `SignalExternalWorkflowExecutionInitiated` on.
    ExternalSignal,
    /// The cancellation of another workflow, from `RequestCancelExternalWorkflowExecutionInitiated` on.
    ExternalCancel,
    /// An update, from `WorkflowExecutionUpdateAccepted` on.
    Update,
    /// A Nexus operation, from `NexusOperationScheduled` on.
    NexusOperation,
}

/// What an event says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "relation", rename_all_fields = "camelCase")]
pub enum Relation {
    /// It is under way: with a worker, or running elsewhere.
    Starts,
    /// It could not start, and there is no more to come.
    FailsToStart,
    /// Its cancellation was asked for.
    RequestsCancel,
    /// That request reached its target, or did not.
    AnswersCancel,
    /// It has other properties from here on.
    Changes,
    /// It is over.
    Ends {
        /// The event that said that it was under way, if there is one.
        #[serde(skip_serializing_if = "EventId::is_none")]
        started_event_id: EventId,
    },
}

impl Event {
    /// Returns the first event of what this one is about: its own id, if it begins something or is about the run.
    pub fn first_event_id(&self) -> EventId {
        self.kind
            .refers_to()
            .map_or(self.id, |refers_to| refers_to.event_id)
    }
}

impl EventKind {
    /// Returns what the event is about; nothing if it begins something, or is about the run as a whole.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub fn refers_to(&self) -> Option<RefersTo> {
        use Relation::{AnswersCancel, Changes, FailsToStart, RequestsCancel, Starts};
        use Subject::{
            Activity, ChildWorkflow, ExternalCancel, ExternalSignal, NexusOperation, Timer, Update,
            WorkflowTask,
        };
        const ENDS: Relation = ends(EventId::NONE);
        let (event_id, subject, relation) = match self {
            Self::WorkflowTaskStarted(e) => (e.scheduled_event_id, WorkflowTask, Starts),
            Self::WorkflowTaskCompleted(e) => {
                (e.scheduled_event_id, WorkflowTask, ends(e.started_event_id))
            }
            Self::WorkflowTaskTimedOut(e) => {
                (e.scheduled_event_id, WorkflowTask, ends(e.started_event_id))
            }
            Self::WorkflowTaskFailed(e) => {
                (e.scheduled_event_id, WorkflowTask, ends(e.started_event_id))
            }
            Self::ActivityTaskStarted(e) => (e.scheduled_event_id, Activity, Starts),
            Self::ActivityTaskCompleted(e) => {
                (e.scheduled_event_id, Activity, ends(e.started_event_id))
            }
            Self::ActivityTaskFailed(e) => {
                (e.scheduled_event_id, Activity, ends(e.started_event_id))
            }
            Self::ActivityTaskTimedOut(e) => {
                (e.scheduled_event_id, Activity, ends(e.started_event_id))
            }
            Self::ActivityTaskCancelRequested(e) => {
                (e.scheduled_event_id, Activity, RequestsCancel)
            }
            Self::ActivityTaskCanceled(e) => {
                (e.scheduled_event_id, Activity, ends(e.started_event_id))
            }
            Self::ActivityPropertiesModifiedExternally(e) => {
                (e.scheduled_event_id, Activity, Changes)
            }
            Self::TimerFired(e) => (e.started_event_id, Timer, ENDS),
            Self::TimerCanceled(e) => (e.started_event_id, Timer, ENDS),
            Self::ChildWorkflowExecutionStarted(e) => (e.initiated_event_id, ChildWorkflow, Starts),
            Self::StartChildWorkflowExecutionFailed(e) => {
                (e.initiated_event_id, ChildWorkflow, FailsToStart)
            }
            Self::ChildWorkflowExecutionCompleted(e) => (
                e.initiated_event_id,
                ChildWorkflow,
                ends(e.started_event_id),
            ),
            Self::ChildWorkflowExecutionFailed(e) => (
                e.initiated_event_id,
                ChildWorkflow,
                ends(e.started_event_id),
            ),
            Self::ChildWorkflowExecutionCanceled(e) => (
                e.initiated_event_id,
                ChildWorkflow,
                ends(e.started_event_id),
            ),
            Self::ChildWorkflowExecutionTimedOut(e) => (
                e.initiated_event_id,
                ChildWorkflow,
                ends(e.started_event_id),
            ),
            Self::ChildWorkflowExecutionTerminated(e) => (
                e.initiated_event_id,
                ChildWorkflow,
                ends(e.started_event_id),
            ),
            Self::ExternalWorkflowExecutionSignaled(e) => {
                (e.initiated_event_id, ExternalSignal, ENDS)
            }
            Self::SignalExternalWorkflowExecutionFailed(e) => {
                (e.initiated_event_id, ExternalSignal, ENDS)
            }
            Self::ExternalWorkflowExecutionCancelRequested(e) => {
                (e.initiated_event_id, ExternalCancel, ENDS)
            }
            Self::RequestCancelExternalWorkflowExecutionFailed(e) => {
                (e.initiated_event_id, ExternalCancel, ENDS)
            }
            Self::WorkflowExecutionUpdateCompleted(e) => (e.accepted_event_id, Update, ENDS),
            Self::NexusOperationStarted(e) => (e.scheduled_event_id, NexusOperation, Starts),
            Self::NexusOperationCompleted(e) => (e.scheduled_event_id, NexusOperation, ENDS),
            Self::NexusOperationFailed(e) => (e.scheduled_event_id, NexusOperation, ENDS),
            Self::NexusOperationCanceled(e) => (e.scheduled_event_id, NexusOperation, ENDS),
            Self::NexusOperationTimedOut(e) => (e.scheduled_event_id, NexusOperation, ENDS),
            Self::NexusOperationCancelRequested(e) => {
                (e.scheduled_event_id, NexusOperation, RequestsCancel)
            }
            Self::NexusOperationCancelRequestCompleted(e) => {
                (e.scheduled_event_id, NexusOperation, AnswersCancel)
            }
            Self::NexusOperationCancelRequestFailed(e) => {
                (e.scheduled_event_id, NexusOperation, AnswersCancel)
            }
            Self::WorkflowExecutionStarted(_)
            | Self::WorkflowExecutionCompleted(_)
            | Self::WorkflowExecutionFailed(_)
            | Self::WorkflowExecutionTimedOut(_)
            | Self::WorkflowTaskScheduled(_)
            | Self::ActivityTaskScheduled(_)
            | Self::TimerStarted(_)
            | Self::WorkflowExecutionCancelRequested(_)
            | Self::WorkflowExecutionCanceled(_)
            | Self::RequestCancelExternalWorkflowExecutionInitiated(_)
            | Self::MarkerRecorded(_)
            | Self::WorkflowExecutionSignaled(_)
            | Self::WorkflowExecutionTerminated(_)
            | Self::WorkflowExecutionContinuedAsNew(_)
            | Self::StartChildWorkflowExecutionInitiated(_)
            | Self::SignalExternalWorkflowExecutionInitiated(_)
            | Self::UpsertWorkflowSearchAttributes(_)
            | Self::WorkflowExecutionUpdateAccepted(_)
            | Self::WorkflowExecutionUpdateRejected(_)
            | Self::WorkflowPropertiesModifiedExternally(_)
            | Self::WorkflowPropertiesModified(_)
            | Self::WorkflowExecutionUpdateAdmitted(_)
            | Self::NexusOperationScheduled(_)
            | Self::WorkflowExecutionOptionsUpdated(_)
            | Self::WorkflowExecutionPaused(_)
            | Self::WorkflowExecutionUnpaused(_)
            | Self::WorkflowExecutionTimeSkippingTransitioned(_) => return None,
        };
        Some(RefersTo {
            event_id,
            subject,
            relation,
        })
    }
    /// Returns the completion whose command made the event; nothing if it came from elsewhere.
    pub fn made_by_command_of(&self) -> Option<EventId> {
        Some(match self {
            Self::WorkflowExecutionCompleted(e) => e.workflow_task_completed_event_id,
            Self::WorkflowExecutionFailed(e) => e.workflow_task_completed_event_id,
            Self::WorkflowExecutionCanceled(e) => e.workflow_task_completed_event_id,
            Self::WorkflowExecutionContinuedAsNew(e) => e.workflow_task_completed_event_id,
            Self::ActivityTaskScheduled(e) => e.workflow_task_completed_event_id,
            Self::ActivityTaskCancelRequested(e) => e.workflow_task_completed_event_id,
            Self::TimerStarted(e) => e.workflow_task_completed_event_id,
            Self::TimerCanceled(e) => e.workflow_task_completed_event_id,
            Self::MarkerRecorded(e) => e.workflow_task_completed_event_id,
            Self::StartChildWorkflowExecutionInitiated(e) => e.workflow_task_completed_event_id,
            Self::SignalExternalWorkflowExecutionInitiated(e) => e.workflow_task_completed_event_id,
            Self::RequestCancelExternalWorkflowExecutionInitiated(e) => {
                e.workflow_task_completed_event_id
            }
            Self::UpsertWorkflowSearchAttributes(e) => e.workflow_task_completed_event_id,
            Self::WorkflowPropertiesModified(e) => e.workflow_task_completed_event_id,
            Self::NexusOperationScheduled(e) => e.workflow_task_completed_event_id,
            Self::NexusOperationCancelRequested(e) => e.workflow_task_completed_event_id,
            // Those of updates come by the messages of a protocol.
            Self::WorkflowExecutionUpdateAccepted(_)
            | Self::WorkflowExecutionUpdateRejected(_)
            | Self::WorkflowExecutionUpdateCompleted(_)
            | Self::WorkflowExecutionUpdateAdmitted(_)
            | Self::WorkflowExecutionStarted(_)
            | Self::WorkflowExecutionTimedOut(_)
            | Self::WorkflowExecutionTerminated(_)
            | Self::WorkflowExecutionCancelRequested(_)
            | Self::WorkflowExecutionSignaled(_)
            | Self::WorkflowTaskScheduled(_)
            | Self::WorkflowTaskStarted(_)
            | Self::WorkflowTaskCompleted(_)
            | Self::WorkflowTaskTimedOut(_)
            | Self::WorkflowTaskFailed(_)
            | Self::ActivityTaskStarted(_)
            | Self::ActivityTaskCompleted(_)
            | Self::ActivityTaskFailed(_)
            | Self::ActivityTaskTimedOut(_)
            | Self::ActivityTaskCanceled(_)
            | Self::ActivityPropertiesModifiedExternally(_)
            | Self::TimerFired(_)
            | Self::StartChildWorkflowExecutionFailed(_)
            | Self::ChildWorkflowExecutionStarted(_)
            | Self::ChildWorkflowExecutionCompleted(_)
            | Self::ChildWorkflowExecutionFailed(_)
            | Self::ChildWorkflowExecutionCanceled(_)
            | Self::ChildWorkflowExecutionTimedOut(_)
            | Self::ChildWorkflowExecutionTerminated(_)
            | Self::ExternalWorkflowExecutionSignaled(_)
            | Self::SignalExternalWorkflowExecutionFailed(_)
            | Self::ExternalWorkflowExecutionCancelRequested(_)
            | Self::RequestCancelExternalWorkflowExecutionFailed(_)
            | Self::WorkflowPropertiesModifiedExternally(_)
            | Self::WorkflowExecutionOptionsUpdated(_)
            | Self::WorkflowExecutionPaused(_)
            | Self::WorkflowExecutionUnpaused(_)
            | Self::WorkflowExecutionTimeSkippingTransitioned(_)
            | Self::NexusOperationStarted(_)
            | Self::NexusOperationCompleted(_)
            | Self::NexusOperationFailed(_)
            | Self::NexusOperationCanceled(_)
            | Self::NexusOperationTimedOut(_)
            | Self::NexusOperationCancelRequestCompleted(_)
            | Self::NexusOperationCancelRequestFailed(_) => return None,
        })
    }

    /// Returns where the end of an activity or a child names the event of its start ([`Relation::Ends`]): it is not known before
    /// that event has its id.
    pub(crate) fn started_event_id_mut(&mut self) -> Option<&mut EventId> {
        Some(match self {
            Self::ActivityTaskCompleted(e) => &mut e.started_event_id,
            Self::ActivityTaskFailed(e) => &mut e.started_event_id,
            Self::ActivityTaskTimedOut(e) => &mut e.started_event_id,
            Self::ActivityTaskCanceled(e) => &mut e.started_event_id,
            Self::ChildWorkflowExecutionCompleted(e) => &mut e.started_event_id,
            Self::ChildWorkflowExecutionFailed(e) => &mut e.started_event_id,
            Self::ChildWorkflowExecutionCanceled(e) => &mut e.started_event_id,
            Self::ChildWorkflowExecutionTimedOut(e) => &mut e.started_event_id,
            Self::ChildWorkflowExecutionTerminated(e) => &mut e.started_event_id,
            // A test holds these arms against `refers_to`.
            _ => return None,
        })
    }
}

const fn ends(started_event_id: EventId) -> Relation {
    Relation::Ends { started_event_id }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{export, record::Record, replay::Ask};

    /// One event of each type.
    fn all() -> Vec<EventKind> {
        let lines = export::PINNED.lines().step_by(2);
        let records = lines.map(|line| serde_json::from_str::<Record>(line).unwrap());
        records
            .map(|record| record.event().unwrap().kind.clone())
            .collect()
    }

    #[test]
    fn an_end_that_may_name_its_start_can_be_told_of_it() {
        for mut kind in all() {
            let before = kind.refers_to();
            let Some(started_event_id) = kind.started_event_id_mut() else {
                let named = before.is_some_and(|refers_to| {
                    matches!(
                        refers_to.subject,
                        Subject::Activity | Subject::ChildWorkflow
                    ) && matches!(refers_to.relation, Relation::Ends { .. })
                });
                assert!(!named, "{}", kind.name());
                continue;
            };
            *started_event_id = EventId(77);
            let after = kind.refers_to().unwrap();
            assert_eq!(after.relation, ends(EventId(77)), "{}", kind.name());
            assert_eq!(after.event_id, before.unwrap().event_id);
        }
    }

    #[test]
    fn what_a_command_made_is_what_replay_asks_for() {
        for kind in all() {
            let asked = Ask::of_event(&kind).is_some();
            assert_eq!(
                kind.made_by_command_of().is_some(),
                asked,
                "{}",
                kind.name()
            );
        }
    }

    #[test]
    fn events_of_one_thing_have_the_same_first_event() {
        let log = r#"[
            {"id":5,"t":0,"e":{"ActivityTaskScheduled":{"activity_id":"a","activity_type":"A","task_queue":"q","workflow_task_completed_event_id":4}}},
            {"id":6,"t":0,"e":{"TimerStarted":{"timer_id":"t","start_to_fire_timeout":1,"workflow_task_completed_event_id":4}}},
            {"id":7,"t":0,"e":{"WorkflowExecutionSignaled":{"signal_name":"go"}}},
            {"id":8,"t":0,"e":{"ActivityTaskStarted":{"scheduled_event_id":5,"attempt":1}}},
            {"id":9,"t":0,"e":{"ActivityTaskCompleted":{"scheduled_event_id":5,"started_event_id":8}}},
            {"id":10,"t":0,"e":{"TimerFired":{"timer_id":"t","started_event_id":6}}}
        ]"#;
        let mut groups: BTreeMap<EventId, Vec<i64>> = BTreeMap::new();
        for record in crate::record::read(crate::chain::VERSION, log).unwrap() {
            let event = record.event().unwrap();
            groups
                .entry(event.first_event_id())
                .or_default()
                .push(event.id.0);
        }
        let groups: Vec<_> = groups.into_values().collect();
        assert_eq!(groups, [vec![5, 8, 9], vec![6, 10], vec![7]]);
    }

    #[test]
    fn it_reads_as_flat_json() {
        let kinds = all();
        let json = |name: &str| {
            let kind = kinds.iter().find(|kind| kind.name() == name).unwrap();
            serde_json::to_string(&kind.refers_to()).unwrap()
        };
        assert_eq!(
            json("ActivityTaskCompleted"),
            r#"{"eventId":2,"subject":"Activity","relation":"Ends","startedEventId":3}"#
        );
        assert_eq!(
            json("TimerFired"),
            r#"{"eventId":2,"subject":"Timer","relation":"Ends"}"#
        );
        assert_eq!(json("TimerStarted"), "null");
    }
}
