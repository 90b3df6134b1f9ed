//! The commands by which workflow code asks for something, with Temporal's names (`temporal.api.command.v1`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    event::{
        ContinueAsNewInitiator, Header, Memo, ParentClosePolicy, SearchAttributes,
        WorkflowExecutionSignaled, WorkflowIdReusePolicy,
    },
    failure::Failure,
    ids::{
        ActivityId, ActivityType, EventId, Namespace, RunId, SignalName, TaskQueue, TimerId,
        WorkflowId, WorkflowType,
    },
    payload::Payloads,
    retry::RetryPolicy,
    time::Millis,
};

/// What workflow code asks for in one workflow task, in the order it asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Run an activity.
    ScheduleActivityTask(Box<ScheduleActivityTask>),
    /// Ask a pending activity to cancel.
    RequestCancelActivityTask {
        /// Its `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
    },
    /// Start a timer.
    StartTimer {
        /// Its id, unique among those running.
        timer_id: TimerId,
        /// How long it runs; at least 1 ms.
        start_to_fire_timeout: Millis,
    },
    /// Cancel a running timer.
    CancelTimer {
        /// Its id.
        timer_id: TimerId,
    },
    /// Close as completed.
    CompleteWorkflowExecution {
        /// What the workflow returns.
        result: Payloads,
    },
    /// Close as failed, or go on in a new run if the retry policy says so.
    FailWorkflowExecution {
        /// How.
        failure: Box<Failure>,
    },
    /// Close as canceled.
    CancelWorkflowExecution {
        /// What the workflow says of it.
        details: Payloads,
    },
    /// Ask another workflow to cancel.
    RequestCancelExternalWorkflowExecution {
        /// The target's namespace.
        namespace: Namespace,
        /// The target's id.
        workflow_id: WorkflowId,
        /// The target's run; its current one if none is given.
        run_id: Option<RunId>,
        /// Only if the target is a child of this run.
        child_workflow_only: bool,
        /// Why.
        reason: String,
    },
    /// Note something for replay.
    RecordMarker {
        /// What kind of note.
        marker_name: String,
        /// What it says, by key.
        details: BTreeMap<String, Payloads>,
        /// Context that travels along.
        header: Header,
        /// A failure it notes.
        failure: Option<Box<Failure>>,
    },
    /// Close this run and go on in a new one.
    ContinueAsNewWorkflowExecution(Box<ContinueAsNewWorkflowExecution>),
    /// Start a child.
    StartChildWorkflowExecution(Box<StartChildWorkflowExecution>),
    /// Send a signal to another workflow.
    SignalExternalWorkflowExecution {
        /// The target's namespace.
        namespace: Namespace,
        /// The target's id.
        workflow_id: WorkflowId,
        /// The target's run; its current one if none is given.
        run_id: Option<RunId>,
        /// The channel.
        signal_name: SignalName,
        /// The message.
        input: Payloads,
        /// Only if the target is a child of this run.
        child_workflow_only: bool,
        /// Context that travels along.
        header: Header,
    },
    /// Change indexed facts.
    UpsertWorkflowSearchAttributes {
        /// Those that change.
        search_attributes: SearchAttributes,
    },
    /// Change the memo.
    ModifyWorkflowProperties {
        /// Those that change.
        upserted_memo: Memo,
    },
    /// Fix the place of an update's message among the commands.
    ProtocolMessage {
        /// The message.
        message_id: String,
    },
    /// Call a Nexus operation.
    ScheduleNexusOperation {
        /// The endpoint's name.
        endpoint: String,
        /// The service's name.
        service: String,
        /// The operation's name.
        operation: String,
        /// The argument.
        input: Payloads,
        /// The most time for it, retries included.
        schedule_to_close_timeout: Millis,
    },
    /// Ask a pending Nexus operation to cancel.
    RequestCancelNexusOperation {
        /// Its `NexusOperationScheduled` event.
        scheduled_event_id: EventId,
    },
}

impl Command {
    /// Returns Temporal's name of the command type, in `PascalCase`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ScheduleActivityTask(_) => "ScheduleActivityTask",
            Self::RequestCancelActivityTask { .. } => "RequestCancelActivityTask",
            Self::StartTimer { .. } => "StartTimer",
            Self::CancelTimer { .. } => "CancelTimer",
            Self::CompleteWorkflowExecution { .. } => "CompleteWorkflowExecution",
            Self::FailWorkflowExecution { .. } => "FailWorkflowExecution",
            Self::CancelWorkflowExecution { .. } => "CancelWorkflowExecution",
            Self::RequestCancelExternalWorkflowExecution { .. } => {
                "RequestCancelExternalWorkflowExecution"
            }
            Self::RecordMarker { .. } => "RecordMarker",
            Self::ContinueAsNewWorkflowExecution(_) => "ContinueAsNewWorkflowExecution",
            Self::StartChildWorkflowExecution(_) => "StartChildWorkflowExecution",
            Self::SignalExternalWorkflowExecution { .. } => "SignalExternalWorkflowExecution",
            Self::UpsertWorkflowSearchAttributes { .. } => "UpsertWorkflowSearchAttributes",
            Self::ModifyWorkflowProperties { .. } => "ModifyWorkflowProperties",
            Self::ProtocolMessage { .. } => "ProtocolMessage",
            Self::ScheduleNexusOperation { .. } => "ScheduleNexusOperation",
            Self::RequestCancelNexusOperation { .. } => "RequestCancelNexusOperation",
        }
    }

    /// Says whether it ends the run; such a command is the last.
    pub fn closes(&self) -> bool {
        matches!(
            self,
            Self::CompleteWorkflowExecution { .. }
                | Self::FailWorkflowExecution { .. }
                | Self::CancelWorkflowExecution { .. }
                | Self::ContinueAsNewWorkflowExecution(_)
        )
    }
}

/// Asks for an activity. Zero durations mean "not given".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleActivityTask {
    /// Its id, unique among those pending.
    pub activity_id: ActivityId,
    /// Its code.
    pub activity_type: ActivityType,
    /// Where its tasks go; the workflow's own queue if none is given.
    pub task_queue: Option<TaskQueue>,
    /// Context that travels along.
    pub header: Header,
    /// The arguments.
    pub input: Payloads,
    /// The most time for all attempts; it or `start_to_close_timeout` must be given.
    pub schedule_to_close_timeout: Millis,
    /// The most time in the queue.
    pub schedule_to_start_timeout: Millis,
    /// The most time for one attempt.
    pub start_to_close_timeout: Millis,
    /// The most time between heartbeats.
    pub heartbeat_timeout: Millis,
    /// When a failed attempt is repeated; Temporal's default policy if none is given.
    pub retry_policy: Option<RetryPolicy>,
}

/// Asks for a new run in place of this one. What is zero or not given is taken from this run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinueAsNewWorkflowExecution {
    /// The code of the new run.
    pub workflow_type: Option<WorkflowType>,
    /// Where its workflow tasks go.
    pub task_queue: Option<TaskQueue>,
    /// Its arguments.
    pub input: Payloads,
    /// Its run timeout.
    pub workflow_run_timeout: Millis,
    /// Its workflow task timeout.
    pub workflow_task_timeout: Millis,
    /// How long its first workflow task waits.
    pub backoff_start_interval: Millis,
    /// Its retry policy.
    pub retry_policy: Option<RetryPolicy>,
    /// Who asks.
    pub initiator: ContinueAsNewInitiator,
    /// Context that travels along.
    pub header: Header,
    /// Unindexed facts that change.
    pub memo: Memo,
    /// Indexed facts that change.
    pub search_attributes: SearchAttributes,
    /// The signals that this run has been shown and has not read, in order: the new run gets them. So it does those that the engine
    /// holds back until the end of this workflow task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_signals: Vec<WorkflowExecutionSignaled>,
}

/// Asks for a child workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartChildWorkflowExecution {
    /// The child's namespace; this workflow's own if none is given.
    pub namespace: Option<Namespace>,
    /// The child's id.
    pub workflow_id: WorkflowId,
    /// The child's code.
    pub workflow_type: WorkflowType,
    /// Where its workflow tasks go; the parent's queue if none is given.
    pub task_queue: Option<TaskQueue>,
    /// The arguments.
    pub input: Payloads,
    /// The most time for its whole chain of runs.
    pub workflow_execution_timeout: Millis,
    /// The most time for its run.
    pub workflow_run_timeout: Millis,
    /// The most time for its workflow tasks.
    pub workflow_task_timeout: Millis,
    /// What happens to it when this run closes.
    pub parent_close_policy: ParentClosePolicy,
    /// Whether its id may have been used before.
    pub workflow_id_reuse_policy: WorkflowIdReusePolicy,
    /// When a failed run of it is repeated.
    pub retry_policy: Option<RetryPolicy>,
    /// When its next run follows.
    pub cron_schedule: String,
    /// Context that travels along.
    pub header: Header,
    /// Unindexed facts.
    pub memo: Memo,
    /// Indexed facts.
    pub search_attributes: SearchAttributes,
}
