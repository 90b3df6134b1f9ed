//! Events of activities. Attempts that are retried leave no event; see `Note`.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Header, is_default},
    failure::{Failure, RetryState},
    ids::{ActivityId, ActivityType, EventId, Identity, RequestId, TaskQueue},
    payload::Payloads,
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Workflow code asked for an activity.
/// Temporal: event type 10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskScheduled {
    /// Its id, unique among those pending.
    pub activity_id: ActivityId,
    /// Its code.
    pub activity_type: ActivityType,
    /// Where its tasks go.
    pub task_queue: TaskQueue,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// The arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub input: Payloads,
    /// The most time for all attempts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule_to_close_timeout: Millis,
    /// The most time in the queue.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule_to_start_timeout: Millis,
    /// The most time for one attempt.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_to_close_timeout: Millis,
    /// The most time between heartbeats; zero means none are expected.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heartbeat_timeout: Millis,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// When a failed attempt is repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_policy: RetryPolicy,
}

/// The last attempt was handed out; written with its end.
/// Temporal: event type 11.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskStarted {
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// The worker's poll.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How the attempt before it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_failure: Option<Failure>,
    /// When the attempt was handed out; the event's own time is that of its end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_at: Option<Timestamp>,
}

/// The activity returned.
/// Temporal: event type 12.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskCompleted {
    /// What it returned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Payloads,
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `ActivityTaskStarted` event.
    pub started_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
}

/// The activity failed and is not retried.
/// Temporal: event type 13.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskFailed {
    /// How.
    pub failure: Failure,
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `ActivityTaskStarted` event.
    pub started_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// Why it is not retried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
}

/// A timeout of the activity passed and it is not retried.
/// Temporal: event type 14.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskTimedOut {
    /// Which timeout, and the failure of the attempt before.
    pub failure: Failure,
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `ActivityTaskStarted` event, if it was started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_event_id: EventId,
    /// Why it is not retried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_state: RetryState,
}

/// Workflow code asked for the activity's cancellation.
/// Temporal: event type 15.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskCancelRequested {
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
}

/// The activity ended as canceled.
/// Temporal: event type 16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTaskCanceled {
    /// What it said of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: Payloads,
    /// The `ActivityTaskCancelRequested` event.
    #[serde(default, skip_serializing_if = "is_default")]
    pub latest_cancel_requested_event_id: EventId,
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `ActivityTaskStarted` event, if it was started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
}
