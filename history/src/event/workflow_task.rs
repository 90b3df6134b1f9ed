//! Events of workflow tasks: the turns in which workflow code runs.

use serde::{Deserialize, Serialize};

use crate::{
    event::{TaskQueueKind, WorkflowTaskFailedCause, is_default},
    failure::{Failure, TimeoutType},
    ids::{EventId, Identity, RequestId, RunId, TaskQueue},
    time::Millis,
};

/// Workflow code has something to react to.
/// Temporal: event type 5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTaskScheduled {
    /// The queue it goes to.
    pub task_queue: TaskQueue,
    /// Whether that queue is one worker's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task_queue_kind: TaskQueueKind,
    /// The most time from start to completion.
    pub start_to_close_timeout: Millis,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// A worker took the task.
/// Temporal: event type 6.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTaskStarted {
    /// Its `WorkflowTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// The worker's poll.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// The history has grown long enough to go on in a new run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suggest_continue_as_new: bool,
    /// The stored size of the history so far.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history_size_bytes: i64,
}

/// The worker answered; the events of its commands follow.
/// Temporal: event type 7.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTaskCompleted {
    /// Its `WorkflowTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `WorkflowTaskStarted` event.
    pub started_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// What the SDK needs to know again at replay.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sdk_metadata: SdkMetadata,
    /// Where the worker wants the next task of this run. Ours: Temporal keeps it beside the history.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky: Option<Sticky>,
}

/// A worker's own queue for the runs it has cached. Temporal: `StickyExecutionAttributes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    /// The queue.
    pub task_queue: TaskQueue,
    /// The most time in that queue; then the task goes to the workflow's own queue.
    pub schedule_to_start_timeout: Millis,
}

/// The worker did not answer in time.
/// Temporal: event type 8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTaskTimedOut {
    /// Its `WorkflowTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `WorkflowTaskStarted` event, if it was started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_event_id: EventId,
    /// Which timeout passed.
    pub timeout_type: TimeoutType,
}

/// The worker's answer was refused, or it said that it can't answer.
/// Temporal: event type 9.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTaskFailed {
    /// Its `WorkflowTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its `WorkflowTaskStarted` event.
    pub started_event_id: EventId,
    /// Why.
    pub cause: WorkflowTaskFailedCause,
    /// More of why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// The run that was reset.
    #[serde(default, skip_serializing_if = "is_default")]
    pub base_run_id: Option<RunId>,
    /// The run that a reset made; it seeds random numbers from here on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_run_id: Option<RunId>,
    /// Temporal's version of the reset point.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fork_event_version: i64,
}

/// What an SDK notes on a completion to behave the same at replay. Temporal: `WorkflowTaskCompletedMetadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SdkMetadata {
    /// Flags of the core library, new with this task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub core_used_flags: Vec<u32>,
    /// Flags of the language's library, new with this task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lang_used_flags: Vec<u32>,
    /// The SDK's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sdk_name: String,
    /// The SDK's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sdk_version: String,
}
