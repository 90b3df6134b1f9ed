//! How the fields of our messages become those of Temporal's.

/// How a stored value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// Not at all: Temporal's message has no such field.
    Absent,
    /// A number of 64 bits, as a string.
    Int64,
    /// Milliseconds, as `"1.500s"`.
    Duration,
    /// Microseconds, as `"2026-01-31T23:59:59.000001Z"`.
    Time,
    /// One of an enum whose values have this prefix.
    Enum(&'static str),
    /// A name, as `{"name":…}`.
    Named,
    /// The name of a queue that all workers share.
    TaskQueue,
    /// One payload.
    Payload,
    /// A list of payloads.
    Payloads,
    /// Lists of payloads by key.
    PayloadsByKey,
    /// Payloads by key, below the field of this name.
    Fields(&'static str),
    /// When a failed attempt is repeated.
    RetryPolicy,
    /// What kind of failure it is: its fields go to a message named after the kind.
    FailureInfo,
    /// An enum whose variants are fields: each variant's own shape is listed under its name.
    OneOf(&'static str),
    /// A list of those.
    OneOfs(&'static str),
    /// A message, by its name below.
    Message(&'static str),
}

/// Returns how the field of a message is written.
pub(super) fn shape(message: &str, field: &str) -> Shape {
    match (message, field) {
        ("WorkflowExecutionStarted" | "WorkflowExecutionCancelRequested", "request_id")
        | ("ActivityTaskStarted", "started_at")
        | ("WorkflowTaskCompleted", "sticky") => Shape::Absent,
        ("WorkflowTaskFailed", "cause") => Shape::Enum("WORKFLOW_TASK_FAILED_CAUSE"),
        ("RequestCancelExternalWorkflowExecutionFailed", "cause") => {
            Shape::Enum("CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("SignalExternalWorkflowExecutionFailed", "cause") => {
            Shape::Enum("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("StartChildWorkflowExecutionFailed", "cause") => {
            Shape::Enum("START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("Failure", "cause")
        | ("UpdateOutcome", "failure")
        | (_, "failure" | "last_failure" | "continued_failure") => Shape::Message("Failure"),
        ("NexusOperationScheduled", "input") | ("NexusOperationCompleted", "result") => {
            Shape::Payload
        }
        ("MarkerRecorded", "details") => Shape::PayloadsByKey,
        ("UpdateRequest", "input") => Shape::Message("UpdateInput"),
        ("Callback", "nexus") => Shape::Message("CallbackNexus"),
        ("CallbackNexus", "header") => Shape::Plain,
        ("VersioningOverride", "pinned") => Shape::Message("PinnedOverride"),
        ("WorkflowExecutionUpdateCompleted" | "UpdateRequest", "meta") => {
            Shape::Message("UpdateMeta")
        }
        _ => shape_of_any(field),
    }
}

/// Returns how a field is written that is the same in all messages.
pub(super) fn shape_of_any(field: &str) -> Shape {
    match field {
        "encoded_attributes" => Shape::Payload,
        "input"
        | "args"
        | "details"
        | "result"
        | "success"
        | "last_completion_result"
        | "last_heartbeat_details" => Shape::Payloads,
        "header" | "memo" | "upserted_memo" => Shape::Fields("fields"),
        "search_attributes" => Shape::Fields("indexedFields"),
        "workflow_type" | "activity_type" => Shape::Named,
        "task_queue" => Shape::TaskQueue,
        "info" => Shape::FailureInfo,
        "retry_policy" | "new_retry_policy" => Shape::RetryPolicy,
        "retry_state" => Shape::Enum("RETRY_STATE"),
        "timeout_type" => Shape::Enum("TIMEOUT_TYPE"),
        "initiator" => Shape::Enum("CONTINUE_AS_NEW_INITIATOR"),
        "parent_close_policy" => Shape::Enum("PARENT_CLOSE_POLICY"),
        "workflow_id_reuse_policy" => Shape::Enum("WORKFLOW_ID_REUSE_POLICY"),
        "kind" => Shape::Enum("TASK_QUEUE_KIND"),
        "origin" => Shape::Enum("UPDATE_ADMITTED_EVENT_ORIGIN"),
        "behavior" => Shape::Enum("PINNED_OVERRIDE_BEHAVIOR"),
        "outcome" => Shape::OneOf("UpdateOutcome"),
        "versioning_override" => Shape::OneOf("VersioningOverride"),
        "completion_callbacks" | "attached_completion_callbacks" => Shape::OneOfs("Callback"),
        "accepted_request" | "rejected_request" | "request" => Shape::Message("UpdateRequest"),
        "sdk_metadata" => Shape::Message("SdkMetadata"),
        "version" => Shape::Message("WorkerDeploymentVersion"),
        "priority" => Shape::Message("Priority"),
        "workflow_execution"
        | "parent_workflow_execution"
        | "root_workflow_execution"
        | "external_workflow_execution" => Shape::Message("WorkflowExecution"),
        "history_size_bytes" | "fork_event_version" => Shape::Int64,
        _ if field.ends_with("_event_id") => Shape::Int64,
        _ if field.ends_with("_time") => Shape::Time,
        _ if ["_timeout", "_interval", "_backoff", "_delay"]
            .iter()
            .any(|unit| field.ends_with(unit)) =>
        {
            Shape::Duration
        }
        _ => Shape::Plain,
    }
}

/// Returns what Temporal writes of a message although our stored form leaves it out as a default.
pub(super) fn always(message: &str) -> &'static [(&'static str, &'static str)] {
    const NONE: &str = "0";
    match message {
        "WorkflowExecutionStarted" => &[
            ("workflow_execution_timeout", NONE),
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("first_workflow_task_backoff", NONE),
        ],
        "WorkflowTaskScheduled" => &[("task_queue_kind", r#""Normal""#)],
        "ActivityTaskScheduled" => &[
            ("schedule_to_close_timeout", NONE),
            ("schedule_to_start_timeout", NONE),
            ("start_to_close_timeout", NONE),
            ("heartbeat_timeout", NONE),
            ("retry_policy", "{}"),
        ],
        "WorkflowExecutionContinuedAsNew" => &[
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("backoff_start_interval", NONE),
        ],
        "StartChildWorkflowExecutionInitiated" => &[
            ("workflow_execution_timeout", NONE),
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("parent_close_policy", r#""Terminate""#),
            ("workflow_id_reuse_policy", r#""AllowDuplicate""#),
        ],
        "NexusOperationScheduled" => &[("schedule_to_close_timeout", NONE)],
        "PinnedOverride" => &[("behavior", r#""Pinned""#)],
        _ => &[],
    }
}

/// Returns where Temporal nests a field that is flat in our message: the outer field and its message.
pub(super) fn nested(
    message: &str,
    field: &str,
) -> Option<(&'static str, &'static str, &'static str)> {
    match (message, field) {
        (_, "workflow_id") if message.contains("ExternalWorkflowExecution") => {
            Some(("workflow_execution", "WorkflowExecution", "workflow_id"))
        }
        (_, "run_id") if message.contains("ExternalWorkflowExecution") => {
            Some(("workflow_execution", "WorkflowExecution", "run_id"))
        }
        ("WorkflowTaskScheduled", "task_queue") => Some(("task_queue", "TaskQueue", "name")),
        ("WorkflowTaskScheduled", "task_queue_kind") => Some(("task_queue", "TaskQueue", "kind")),
        _ => None,
    }
}

/// Returns the field of Temporal's `Failure` for a kind of ours.
pub(super) fn failure_info_field(kind: &str) -> &'static str {
    match kind {
        "TimedOut" => "timeoutFailureInfo",
        "Canceled" => "canceledFailureInfo",
        "Terminated" => "terminatedFailureInfo",
        "Server" => "serverFailureInfo",
        "ResetWorkflow" => "resetWorkflowFailureInfo",
        "Activity" => "activityFailureInfo",
        "ChildWorkflowExecution" => "childWorkflowExecutionFailureInfo",
        "NexusOperation" => "nexusOperationExecutionFailureInfo",
        "NexusHandler" => "nexusHandlerFailureInfo",
        _ => "applicationFailureInfo",
    }
}
