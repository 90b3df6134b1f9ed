//! An event: its id, its time, and what it says.

use serde::{Deserialize, Serialize};

use crate::{
    event::{
        ActivityPropertiesModifiedExternally, ActivityTaskCancelRequested, ActivityTaskCanceled,
        ActivityTaskCompleted, ActivityTaskFailed, ActivityTaskScheduled, ActivityTaskStarted,
        ActivityTaskTimedOut, ChildWorkflowExecutionCanceled, ChildWorkflowExecutionCompleted,
        ChildWorkflowExecutionFailed, ChildWorkflowExecutionStarted,
        ChildWorkflowExecutionTerminated, ChildWorkflowExecutionTimedOut,
        ExternalWorkflowExecutionCancelRequested, ExternalWorkflowExecutionSignaled,
        MarkerRecorded, NexusOperationCancelRequestCompleted, NexusOperationCancelRequestFailed,
        NexusOperationCancelRequested, NexusOperationCanceled, NexusOperationCompleted,
        NexusOperationFailed, NexusOperationScheduled, NexusOperationStarted,
        NexusOperationTimedOut, RequestCancelExternalWorkflowExecutionFailed,
        RequestCancelExternalWorkflowExecutionInitiated, SignalExternalWorkflowExecutionFailed,
        SignalExternalWorkflowExecutionInitiated, StartChildWorkflowExecutionFailed,
        StartChildWorkflowExecutionInitiated, TimerCanceled, TimerFired, TimerStarted,
        UpsertWorkflowSearchAttributes, WorkflowExecutionCancelRequested,
        WorkflowExecutionCanceled, WorkflowExecutionCompleted, WorkflowExecutionContinuedAsNew,
        WorkflowExecutionFailed, WorkflowExecutionOptionsUpdated, WorkflowExecutionPaused,
        WorkflowExecutionSignaled, WorkflowExecutionStarted, WorkflowExecutionTerminated,
        WorkflowExecutionTimeSkippingTransitioned, WorkflowExecutionTimedOut,
        WorkflowExecutionUnpaused, WorkflowExecutionUpdateAccepted,
        WorkflowExecutionUpdateAdmitted, WorkflowExecutionUpdateCompleted,
        WorkflowExecutionUpdateRejected, WorkflowPropertiesModified,
        WorkflowPropertiesModifiedExternally, WorkflowTaskCompleted, WorkflowTaskFailed,
        WorkflowTaskScheduled, WorkflowTaskStarted, WorkflowTaskTimedOut,
    },
    ids::EventId,
    time::Timestamp,
};

/// One thing that happened. Temporal: `HistoryEvent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the history, from 1 without gaps.
    pub id: EventId,
    /// When it happened; never before the event before it.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// What happened.
    #[serde(rename = "e")]
    pub kind: EventKind,
}

/// What an event says: one variant per event type, named and numbered as in Temporal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// A run started; the first event of every history.
    WorkflowExecutionStarted(Box<WorkflowExecutionStarted>),
    /// Workflow code returned.
    WorkflowExecutionCompleted(Box<WorkflowExecutionCompleted>),
    /// Workflow code failed.
    WorkflowExecutionFailed(Box<WorkflowExecutionFailed>),
    /// The run or the execution timeout passed.
    WorkflowExecutionTimedOut(Box<WorkflowExecutionTimedOut>),
    /// Workflow code has something to react to.
    WorkflowTaskScheduled(Box<WorkflowTaskScheduled>),
    /// A worker took the task.
    WorkflowTaskStarted(Box<WorkflowTaskStarted>),
    /// The worker answered; the events of its commands follow.
    WorkflowTaskCompleted(Box<WorkflowTaskCompleted>),
    /// The worker did not answer in time.
    WorkflowTaskTimedOut(Box<WorkflowTaskTimedOut>),
    /// The worker's answer was refused, or it said that it can't answer.
    WorkflowTaskFailed(Box<WorkflowTaskFailed>),
    /// Workflow code asked for an activity.
    ActivityTaskScheduled(Box<ActivityTaskScheduled>),
    /// The last attempt was handed out; written with its end.
    ActivityTaskStarted(Box<ActivityTaskStarted>),
    /// The activity returned.
    ActivityTaskCompleted(Box<ActivityTaskCompleted>),
    /// The activity failed and is not retried.
    ActivityTaskFailed(Box<ActivityTaskFailed>),
    /// A timeout of the activity passed and it is not retried.
    ActivityTaskTimedOut(Box<ActivityTaskTimedOut>),
    /// Workflow code asked for the activity's cancellation.
    ActivityTaskCancelRequested(Box<ActivityTaskCancelRequested>),
    /// The activity ended as canceled.
    ActivityTaskCanceled(Box<ActivityTaskCanceled>),
    /// Workflow code started a timer.
    TimerStarted(Box<TimerStarted>),
    /// The timer's time came.
    TimerFired(Box<TimerFired>),
    /// Workflow code canceled the timer.
    TimerCanceled(Box<TimerCanceled>),
    /// Somebody asked the workflow to cancel; its code decides.
    WorkflowExecutionCancelRequested(Box<WorkflowExecutionCancelRequested>),
    /// Workflow code ended as canceled.
    WorkflowExecutionCanceled(Box<WorkflowExecutionCanceled>),
    /// Workflow code asked another workflow to cancel.
    RequestCancelExternalWorkflowExecutionInitiated(
        Box<RequestCancelExternalWorkflowExecutionInitiated>,
    ),
    /// The cancellation did not reach its target.
    RequestCancelExternalWorkflowExecutionFailed(Box<RequestCancelExternalWorkflowExecutionFailed>),
    /// The cancellation reached its target.
    ExternalWorkflowExecutionCancelRequested(Box<ExternalWorkflowExecutionCancelRequested>),
    /// Workflow code noted something for its own replay.
    MarkerRecorded(Box<MarkerRecorded>),
    /// A signal arrived.
    WorkflowExecutionSignaled(Box<WorkflowExecutionSignaled>),
    /// Somebody ended the workflow without asking it.
    WorkflowExecutionTerminated(Box<WorkflowExecutionTerminated>),
    /// Workflow code ended this run and went on in a new one.
    WorkflowExecutionContinuedAsNew(Box<WorkflowExecutionContinuedAsNew>),
    /// Workflow code asked for a child.
    StartChildWorkflowExecutionInitiated(Box<StartChildWorkflowExecutionInitiated>),
    /// The child could not be started.
    StartChildWorkflowExecutionFailed(Box<StartChildWorkflowExecutionFailed>),
    /// The child's first run started.
    ChildWorkflowExecutionStarted(Box<ChildWorkflowExecutionStarted>),
    /// The child returned.
    ChildWorkflowExecutionCompleted(Box<ChildWorkflowExecutionCompleted>),
    /// The child failed.
    ChildWorkflowExecutionFailed(Box<ChildWorkflowExecutionFailed>),
    /// The child ended as canceled.
    ChildWorkflowExecutionCanceled(Box<ChildWorkflowExecutionCanceled>),
    /// The child's time passed.
    ChildWorkflowExecutionTimedOut(Box<ChildWorkflowExecutionTimedOut>),
    /// The child was ended from outside.
    ChildWorkflowExecutionTerminated(Box<ChildWorkflowExecutionTerminated>),
    /// Workflow code sent a signal to another workflow.
    SignalExternalWorkflowExecutionInitiated(Box<SignalExternalWorkflowExecutionInitiated>),
    /// The signal did not reach its target.
    SignalExternalWorkflowExecutionFailed(Box<SignalExternalWorkflowExecutionFailed>),
    /// The signal reached its target.
    ExternalWorkflowExecutionSignaled(Box<ExternalWorkflowExecutionSignaled>),
    /// Workflow code changed indexed facts.
    UpsertWorkflowSearchAttributes(Box<UpsertWorkflowSearchAttributes>),
    /// Workflow code let an update in.
    WorkflowExecutionUpdateAccepted(Box<WorkflowExecutionUpdateAccepted>),
    /// Workflow code refused an update; never written.
    WorkflowExecutionUpdateRejected(Box<WorkflowExecutionUpdateRejected>),
    /// The handler of an update ended.
    WorkflowExecutionUpdateCompleted(Box<WorkflowExecutionUpdateCompleted>),
    /// Somebody changed properties of the run.
    WorkflowPropertiesModifiedExternally(Box<WorkflowPropertiesModifiedExternally>),
    /// Somebody changed properties of a pending activity.
    ActivityPropertiesModifiedExternally(Box<ActivityPropertiesModifiedExternally>),
    /// Workflow code changed its memo.
    WorkflowPropertiesModified(Box<WorkflowPropertiesModified>),
    /// An update waits for workflow code; written only where a reset carries one over.
    WorkflowExecutionUpdateAdmitted(Box<WorkflowExecutionUpdateAdmitted>),
    /// Workflow code asked for a Nexus operation.
    NexusOperationScheduled(Box<NexusOperationScheduled>),
    /// Its handler started the operation and will answer later.
    NexusOperationStarted(Box<NexusOperationStarted>),
    /// The operation returned.
    NexusOperationCompleted(Box<NexusOperationCompleted>),
    /// The operation failed.
    NexusOperationFailed(Box<NexusOperationFailed>),
    /// The operation ended as canceled.
    NexusOperationCanceled(Box<NexusOperationCanceled>),
    /// A timeout of the operation passed.
    NexusOperationTimedOut(Box<NexusOperationTimedOut>),
    /// Workflow code asked for the operation's cancellation.
    NexusOperationCancelRequested(Box<NexusOperationCancelRequested>),
    /// Somebody changed options of the run.
    WorkflowExecutionOptionsUpdated(Box<WorkflowExecutionOptionsUpdated>),
    /// The handler took note of the cancellation.
    NexusOperationCancelRequestCompleted(Box<NexusOperationCancelRequestCompleted>),
    /// The cancellation did not reach the handler.
    NexusOperationCancelRequestFailed(Box<NexusOperationCancelRequestFailed>),
    /// Somebody stopped the run until it is unpaused.
    WorkflowExecutionPaused(Box<WorkflowExecutionPaused>),
    /// Somebody let the paused run go on.
    WorkflowExecutionUnpaused(Box<WorkflowExecutionUnpaused>),
    /// The run's own clock jumped ahead.
    WorkflowExecutionTimeSkippingTransitioned(Box<WorkflowExecutionTimeSkippingTransitioned>),
}
