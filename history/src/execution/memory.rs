//! Estimates of what a run takes in memory. They count what can be large exactly and the rest roughly.

use super::{activity::ActivityState, timer::TimerState};
use crate::{
    event::{Event, EventKind, Memo},
    failure::Failure,
    payload::{Payload, Payloads},
    requests::RequestDigest,
};

/// What an entry of the maps costs beside its value: the keys, the allocations, a share of the tree's nodes.
const ENTRY_BYTES: usize = 160;
/// What an event costs beside its payloads.
const EVENT_BYTES: usize = 400;
/// What a timer costs.
pub(super) const TIMER_BYTES: usize = ENTRY_BYTES + size_of::<TimerState>();

pub(super) fn activity_bytes(activity: &ActivityState) -> usize {
    let failure = activity
        .last_failure
        .as_ref()
        .map_or(0, |last| failure_bytes(&last.failure));
    ENTRY_BYTES
        + size_of::<ActivityState>()
        + event_bytes(&activity.scheduled.kind)
        + payloads_bytes(&activity.heartbeat_details)
        + failure
}

/// Returns what requests cost that were heard: an entry of a set or a list each.
pub(super) const fn request_bytes(requests: usize) -> usize {
    requests * 2 * size_of::<RequestDigest>()
}

/// Returns what an event costs that is kept in a map.
pub(super) fn kept_bytes(event: &Event) -> usize {
    ENTRY_BYTES + event_bytes(&event.kind)
}

/// Returns what an event costs.
pub(crate) fn event_bytes(kind: &EventKind) -> usize {
    let payloads = match kind {
        EventKind::WorkflowExecutionStarted(started) => {
            size_of_val(&**started)
                + payloads_bytes(&started.input)
                + payloads_bytes(&started.last_completion_result)
                + started.continued_failure.as_ref().map_or(0, failure_bytes)
                + facts_bytes(&started.memo)
                + facts_bytes(&started.search_attributes)
                + facts_bytes(&started.header)
        }
        EventKind::ActivityTaskScheduled(attributes) => {
            payloads_bytes(&attributes.input) + facts_bytes(&attributes.header)
        }
        EventKind::ActivityTaskStarted(attributes) => {
            attributes.last_failure.as_ref().map_or(0, failure_bytes)
        }
        EventKind::ActivityTaskCompleted(attributes) => payloads_bytes(&attributes.result),
        EventKind::ActivityTaskFailed(attributes) => failure_bytes(&attributes.failure),
        EventKind::ActivityTaskTimedOut(attributes) => failure_bytes(&attributes.failure),
        EventKind::ActivityTaskCanceled(attributes) => payloads_bytes(&attributes.details),
        EventKind::WorkflowExecutionSignaled(attributes) => {
            payloads_bytes(&attributes.input) + facts_bytes(&attributes.header)
        }
        EventKind::StartChildWorkflowExecutionInitiated(attributes) => {
            payloads_bytes(&attributes.input)
                + facts_bytes(&attributes.header)
                + facts_bytes(&attributes.memo)
                + facts_bytes(&attributes.search_attributes)
        }
        EventKind::ChildWorkflowExecutionCompleted(attributes) => {
            payloads_bytes(&attributes.result)
        }
        EventKind::ChildWorkflowExecutionFailed(attributes) => failure_bytes(&attributes.failure),
        EventKind::ChildWorkflowExecutionCanceled(attributes) => {
            payloads_bytes(&attributes.details)
        }
        EventKind::SignalExternalWorkflowExecutionInitiated(attributes) => {
            payloads_bytes(&attributes.input) + facts_bytes(&attributes.header)
        }
        EventKind::WorkflowExecutionCompleted(attributes) => payloads_bytes(&attributes.result),
        EventKind::WorkflowExecutionFailed(attributes) => failure_bytes(&attributes.failure),
        EventKind::WorkflowExecutionCanceled(attributes) => payloads_bytes(&attributes.details),
        EventKind::WorkflowExecutionTerminated(attributes) => payloads_bytes(&attributes.details),
        EventKind::WorkflowExecutionContinuedAsNew(attributes) => {
            payloads_bytes(&attributes.input)
                + payloads_bytes(&attributes.last_completion_result)
                + attributes.failure.as_ref().map_or(0, failure_bytes)
                + facts_bytes(&attributes.memo)
                + facts_bytes(&attributes.search_attributes)
                + facts_bytes(&attributes.header)
        }
        // The others are never kept, or have nothing large.
        EventKind::WorkflowExecutionTimedOut(_)
        | EventKind::WorkflowTaskScheduled(_)
        | EventKind::WorkflowTaskStarted(_)
        | EventKind::WorkflowTaskCompleted(_)
        | EventKind::WorkflowTaskTimedOut(_)
        | EventKind::WorkflowTaskFailed(_)
        | EventKind::ActivityTaskCancelRequested(_)
        | EventKind::TimerStarted(_)
        | EventKind::TimerFired(_)
        | EventKind::TimerCanceled(_)
        | EventKind::WorkflowExecutionCancelRequested(_)
        | EventKind::RequestCancelExternalWorkflowExecutionInitiated(_)
        | EventKind::RequestCancelExternalWorkflowExecutionFailed(_)
        | EventKind::ExternalWorkflowExecutionCancelRequested(_)
        | EventKind::MarkerRecorded(_)
        | EventKind::StartChildWorkflowExecutionFailed(_)
        | EventKind::ChildWorkflowExecutionStarted(_)
        | EventKind::ChildWorkflowExecutionTimedOut(_)
        | EventKind::ChildWorkflowExecutionTerminated(_)
        | EventKind::SignalExternalWorkflowExecutionFailed(_)
        | EventKind::ExternalWorkflowExecutionSignaled(_)
        | EventKind::UpsertWorkflowSearchAttributes(_)
        | EventKind::WorkflowExecutionUpdateAccepted(_)
        | EventKind::WorkflowExecutionUpdateRejected(_)
        | EventKind::WorkflowExecutionUpdateCompleted(_)
        | EventKind::WorkflowPropertiesModifiedExternally(_)
        | EventKind::ActivityPropertiesModifiedExternally(_)
        | EventKind::WorkflowPropertiesModified(_)
        | EventKind::WorkflowExecutionUpdateAdmitted(_)
        | EventKind::NexusOperationScheduled(_)
        | EventKind::NexusOperationStarted(_)
        | EventKind::NexusOperationCompleted(_)
        | EventKind::NexusOperationFailed(_)
        | EventKind::NexusOperationCanceled(_)
        | EventKind::NexusOperationTimedOut(_)
        | EventKind::NexusOperationCancelRequested(_)
        | EventKind::WorkflowExecutionOptionsUpdated(_)
        | EventKind::NexusOperationCancelRequestCompleted(_)
        | EventKind::NexusOperationCancelRequestFailed(_)
        | EventKind::WorkflowExecutionPaused(_)
        | EventKind::WorkflowExecutionUnpaused(_)
        | EventKind::WorkflowExecutionTimeSkippingTransitioned(_) => 0,
    };
    EVENT_BYTES + payloads
}

fn payload_bytes(payload: &Payload) -> usize {
    size_of::<Payload>() + payload.size()
}

fn payloads_bytes(payloads: &Payloads) -> usize {
    payloads.0.iter().map(payload_bytes).sum()
}

pub(super) fn facts_bytes(facts: &Memo) -> usize {
    facts
        .iter()
        .map(|(key, value)| key.len() + payload_bytes(value))
        .sum()
}

pub(super) fn failure_bytes(failure: &Failure) -> usize {
    size_of::<Failure>() + failure.size()
}
