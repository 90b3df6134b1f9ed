//! How buffered events are put in order, and an end finds the event of its start.

use crate::{event::EventKind, ids::EventId};

/// Says whether a buffered event goes behind the others. Temporal does so, and SDKs rely on signals coming first.
pub(super) fn goes_last(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::ActivityTaskCompleted(_)
            | EventKind::ActivityTaskFailed(_)
            | EventKind::ActivityTaskTimedOut(_)
            | EventKind::ActivityTaskCanceled(_)
            | EventKind::ChildWorkflowExecutionCompleted(_)
            | EventKind::ChildWorkflowExecutionFailed(_)
            | EventKind::ChildWorkflowExecutionCanceled(_)
            | EventKind::ChildWorkflowExecutionTimedOut(_)
            | EventKind::ChildWorkflowExecutionTerminated(_)
    )
}

/// Returns what an event says the start of: an activity or a child, by its first event.
pub(super) fn start_of(kind: &EventKind) -> Option<EventId> {
    match kind {
        EventKind::ActivityTaskStarted(started) => Some(started.scheduled_event_id),
        EventKind::ChildWorkflowExecutionStarted(started) => Some(started.initiated_event_id),
        _ => None,
    }
}

/// Returns what an event says the end of, and where it names the event of the start.
pub(super) fn end_of(kind: &mut EventKind) -> Option<(EventId, &mut EventId)> {
    Some(match kind {
        EventKind::ActivityTaskCompleted(a) => (a.scheduled_event_id, &mut a.started_event_id),
        EventKind::ActivityTaskFailed(a) => (a.scheduled_event_id, &mut a.started_event_id),
        EventKind::ActivityTaskTimedOut(a) => (a.scheduled_event_id, &mut a.started_event_id),
        EventKind::ActivityTaskCanceled(a) => (a.scheduled_event_id, &mut a.started_event_id),
        EventKind::ChildWorkflowExecutionCompleted(a) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionFailed(a) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionCanceled(a) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionTimedOut(a) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionTerminated(a) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        _ => return None,
    })
}
