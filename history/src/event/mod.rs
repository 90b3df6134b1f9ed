//! The events of a history, with Temporal's names and attributes (`temporal.api.history.v1`).
//!
//! An attribute that is absent in Temporal is absent here; times and durations are
//! [`Timestamp`] and [`Millis`](crate::Millis). `workflow_task_completed_event_id` is the completion whose
//! commands made the event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ids::EventId, payload::Payload, time::Timestamp};

mod activity;
mod child_workflow;
mod enums;
mod external;
mod marker;
mod nexus;
mod operations;
mod refers_to;
mod timer;
mod update;
mod workflow;
mod workflow_task;

pub use activity::*;
pub use child_workflow::*;
pub use enums::*;
pub use external::*;
pub use marker::*;
pub use nexus::*;
pub use operations::*;
pub use refers_to::{RefersTo, Relation, Subject};
pub use timer::*;
pub use update::*;
pub use workflow::*;
pub use workflow_task::*;

/// Context that travels with calls, by key. Temporal: `Header`.
pub type Header = BTreeMap<String, Payload>;
/// Unindexed facts about a workflow, by key. Temporal: `Memo`.
pub type Memo = BTreeMap<String, Payload>;
/// Indexed facts about a workflow, by key. Temporal: `SearchAttributes`.
pub type SearchAttributes = BTreeMap<String, Payload>;

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

/// Says whether a value is its type's default, for serde: what is absent takes no space.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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

impl EventKind {
    /// Returns the name of the type: Temporal's, in `PascalCase`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WorkflowExecutionStarted(_) => "WorkflowExecutionStarted",
            Self::WorkflowExecutionCompleted(_) => "WorkflowExecutionCompleted",
            Self::WorkflowExecutionFailed(_) => "WorkflowExecutionFailed",
            Self::WorkflowExecutionTimedOut(_) => "WorkflowExecutionTimedOut",
            Self::WorkflowTaskScheduled(_) => "WorkflowTaskScheduled",
            Self::WorkflowTaskStarted(_) => "WorkflowTaskStarted",
            Self::WorkflowTaskCompleted(_) => "WorkflowTaskCompleted",
            Self::WorkflowTaskTimedOut(_) => "WorkflowTaskTimedOut",
            Self::WorkflowTaskFailed(_) => "WorkflowTaskFailed",
            Self::ActivityTaskScheduled(_) => "ActivityTaskScheduled",
            Self::ActivityTaskStarted(_) => "ActivityTaskStarted",
            Self::ActivityTaskCompleted(_) => "ActivityTaskCompleted",
            Self::ActivityTaskFailed(_) => "ActivityTaskFailed",
            Self::ActivityTaskTimedOut(_) => "ActivityTaskTimedOut",
            Self::ActivityTaskCancelRequested(_) => "ActivityTaskCancelRequested",
            Self::ActivityTaskCanceled(_) => "ActivityTaskCanceled",
            Self::TimerStarted(_) => "TimerStarted",
            Self::TimerFired(_) => "TimerFired",
            Self::TimerCanceled(_) => "TimerCanceled",
            Self::WorkflowExecutionCancelRequested(_) => "WorkflowExecutionCancelRequested",
            Self::WorkflowExecutionCanceled(_) => "WorkflowExecutionCanceled",
            Self::RequestCancelExternalWorkflowExecutionInitiated(_) => {
                "RequestCancelExternalWorkflowExecutionInitiated"
            }
            Self::RequestCancelExternalWorkflowExecutionFailed(_) => {
                "RequestCancelExternalWorkflowExecutionFailed"
            }
            Self::ExternalWorkflowExecutionCancelRequested(_) => {
                "ExternalWorkflowExecutionCancelRequested"
            }
            Self::MarkerRecorded(_) => "MarkerRecorded",
            Self::WorkflowExecutionSignaled(_) => "WorkflowExecutionSignaled",
            Self::WorkflowExecutionTerminated(_) => "WorkflowExecutionTerminated",
            Self::WorkflowExecutionContinuedAsNew(_) => "WorkflowExecutionContinuedAsNew",
            Self::StartChildWorkflowExecutionInitiated(_) => "StartChildWorkflowExecutionInitiated",
            Self::StartChildWorkflowExecutionFailed(_) => "StartChildWorkflowExecutionFailed",
            Self::ChildWorkflowExecutionStarted(_) => "ChildWorkflowExecutionStarted",
            Self::ChildWorkflowExecutionCompleted(_) => "ChildWorkflowExecutionCompleted",
            Self::ChildWorkflowExecutionFailed(_) => "ChildWorkflowExecutionFailed",
            Self::ChildWorkflowExecutionCanceled(_) => "ChildWorkflowExecutionCanceled",
            Self::ChildWorkflowExecutionTimedOut(_) => "ChildWorkflowExecutionTimedOut",
            Self::ChildWorkflowExecutionTerminated(_) => "ChildWorkflowExecutionTerminated",
            Self::SignalExternalWorkflowExecutionInitiated(_) => {
                "SignalExternalWorkflowExecutionInitiated"
            }
            Self::SignalExternalWorkflowExecutionFailed(_) => {
                "SignalExternalWorkflowExecutionFailed"
            }
            Self::ExternalWorkflowExecutionSignaled(_) => "ExternalWorkflowExecutionSignaled",
            Self::UpsertWorkflowSearchAttributes(_) => "UpsertWorkflowSearchAttributes",
            Self::WorkflowExecutionUpdateAccepted(_) => "WorkflowExecutionUpdateAccepted",
            Self::WorkflowExecutionUpdateRejected(_) => "WorkflowExecutionUpdateRejected",
            Self::WorkflowExecutionUpdateCompleted(_) => "WorkflowExecutionUpdateCompleted",
            Self::WorkflowPropertiesModifiedExternally(_) => "WorkflowPropertiesModifiedExternally",
            Self::ActivityPropertiesModifiedExternally(_) => "ActivityPropertiesModifiedExternally",
            Self::WorkflowPropertiesModified(_) => "WorkflowPropertiesModified",
            Self::WorkflowExecutionUpdateAdmitted(_) => "WorkflowExecutionUpdateAdmitted",
            Self::NexusOperationScheduled(_) => "NexusOperationScheduled",
            Self::NexusOperationStarted(_) => "NexusOperationStarted",
            Self::NexusOperationCompleted(_) => "NexusOperationCompleted",
            Self::NexusOperationFailed(_) => "NexusOperationFailed",
            Self::NexusOperationCanceled(_) => "NexusOperationCanceled",
            Self::NexusOperationTimedOut(_) => "NexusOperationTimedOut",
            Self::NexusOperationCancelRequested(_) => "NexusOperationCancelRequested",
            Self::WorkflowExecutionOptionsUpdated(_) => "WorkflowExecutionOptionsUpdated",
            Self::NexusOperationCancelRequestCompleted(_) => "NexusOperationCancelRequestCompleted",
            Self::NexusOperationCancelRequestFailed(_) => "NexusOperationCancelRequestFailed",
            Self::WorkflowExecutionPaused(_) => "WorkflowExecutionPaused",
            Self::WorkflowExecutionUnpaused(_) => "WorkflowExecutionUnpaused",
            Self::WorkflowExecutionTimeSkippingTransitioned(_) => {
                "WorkflowExecutionTimeSkippingTransitioned"
            }
        }
    }

    /// Returns Temporal's number of the type.
    pub fn number(&self) -> i32 {
        match self {
            Self::WorkflowExecutionStarted(_) => 1,
            Self::WorkflowExecutionCompleted(_) => 2,
            Self::WorkflowExecutionFailed(_) => 3,
            Self::WorkflowExecutionTimedOut(_) => 4,
            Self::WorkflowTaskScheduled(_) => 5,
            Self::WorkflowTaskStarted(_) => 6,
            Self::WorkflowTaskCompleted(_) => 7,
            Self::WorkflowTaskTimedOut(_) => 8,
            Self::WorkflowTaskFailed(_) => 9,
            Self::ActivityTaskScheduled(_) => 10,
            Self::ActivityTaskStarted(_) => 11,
            Self::ActivityTaskCompleted(_) => 12,
            Self::ActivityTaskFailed(_) => 13,
            Self::ActivityTaskTimedOut(_) => 14,
            Self::ActivityTaskCancelRequested(_) => 15,
            Self::ActivityTaskCanceled(_) => 16,
            Self::TimerStarted(_) => 17,
            Self::TimerFired(_) => 18,
            Self::TimerCanceled(_) => 19,
            Self::WorkflowExecutionCancelRequested(_) => 20,
            Self::WorkflowExecutionCanceled(_) => 21,
            Self::RequestCancelExternalWorkflowExecutionInitiated(_) => 22,
            Self::RequestCancelExternalWorkflowExecutionFailed(_) => 23,
            Self::ExternalWorkflowExecutionCancelRequested(_) => 24,
            Self::MarkerRecorded(_) => 25,
            Self::WorkflowExecutionSignaled(_) => 26,
            Self::WorkflowExecutionTerminated(_) => 27,
            Self::WorkflowExecutionContinuedAsNew(_) => 28,
            Self::StartChildWorkflowExecutionInitiated(_) => 29,
            Self::StartChildWorkflowExecutionFailed(_) => 30,
            Self::ChildWorkflowExecutionStarted(_) => 31,
            Self::ChildWorkflowExecutionCompleted(_) => 32,
            Self::ChildWorkflowExecutionFailed(_) => 33,
            Self::ChildWorkflowExecutionCanceled(_) => 34,
            Self::ChildWorkflowExecutionTimedOut(_) => 35,
            Self::ChildWorkflowExecutionTerminated(_) => 36,
            Self::SignalExternalWorkflowExecutionInitiated(_) => 37,
            Self::SignalExternalWorkflowExecutionFailed(_) => 38,
            Self::ExternalWorkflowExecutionSignaled(_) => 39,
            Self::UpsertWorkflowSearchAttributes(_) => 40,
            Self::WorkflowExecutionUpdateAccepted(_) => 41,
            Self::WorkflowExecutionUpdateRejected(_) => 42,
            Self::WorkflowExecutionUpdateCompleted(_) => 43,
            Self::WorkflowPropertiesModifiedExternally(_) => 44,
            Self::ActivityPropertiesModifiedExternally(_) => 45,
            Self::WorkflowPropertiesModified(_) => 46,
            Self::WorkflowExecutionUpdateAdmitted(_) => 47,
            Self::NexusOperationScheduled(_) => 48,
            Self::NexusOperationStarted(_) => 49,
            Self::NexusOperationCompleted(_) => 50,
            Self::NexusOperationFailed(_) => 51,
            Self::NexusOperationCanceled(_) => 52,
            Self::NexusOperationTimedOut(_) => 53,
            Self::NexusOperationCancelRequested(_) => 54,
            Self::WorkflowExecutionOptionsUpdated(_) => 55,
            Self::NexusOperationCancelRequestCompleted(_) => 56,
            Self::NexusOperationCancelRequestFailed(_) => 57,
            Self::WorkflowExecutionPaused(_) => 58,
            Self::WorkflowExecutionUnpaused(_) => 59,
            Self::WorkflowExecutionTimeSkippingTransitioned(_) => 60,
        }
    }
}

impl From<WorkflowExecutionStarted> for EventKind {
    fn from(attributes: WorkflowExecutionStarted) -> Self {
        Self::WorkflowExecutionStarted(Box::new(attributes))
    }
}

impl From<WorkflowExecutionCompleted> for EventKind {
    fn from(attributes: WorkflowExecutionCompleted) -> Self {
        Self::WorkflowExecutionCompleted(Box::new(attributes))
    }
}

impl From<WorkflowExecutionFailed> for EventKind {
    fn from(attributes: WorkflowExecutionFailed) -> Self {
        Self::WorkflowExecutionFailed(Box::new(attributes))
    }
}

impl From<WorkflowExecutionTimedOut> for EventKind {
    fn from(attributes: WorkflowExecutionTimedOut) -> Self {
        Self::WorkflowExecutionTimedOut(Box::new(attributes))
    }
}

impl From<WorkflowTaskScheduled> for EventKind {
    fn from(attributes: WorkflowTaskScheduled) -> Self {
        Self::WorkflowTaskScheduled(Box::new(attributes))
    }
}

impl From<WorkflowTaskStarted> for EventKind {
    fn from(attributes: WorkflowTaskStarted) -> Self {
        Self::WorkflowTaskStarted(Box::new(attributes))
    }
}

impl From<WorkflowTaskCompleted> for EventKind {
    fn from(attributes: WorkflowTaskCompleted) -> Self {
        Self::WorkflowTaskCompleted(Box::new(attributes))
    }
}

impl From<WorkflowTaskTimedOut> for EventKind {
    fn from(attributes: WorkflowTaskTimedOut) -> Self {
        Self::WorkflowTaskTimedOut(Box::new(attributes))
    }
}

impl From<WorkflowTaskFailed> for EventKind {
    fn from(attributes: WorkflowTaskFailed) -> Self {
        Self::WorkflowTaskFailed(Box::new(attributes))
    }
}

impl From<ActivityTaskScheduled> for EventKind {
    fn from(attributes: ActivityTaskScheduled) -> Self {
        Self::ActivityTaskScheduled(Box::new(attributes))
    }
}

impl From<ActivityTaskStarted> for EventKind {
    fn from(attributes: ActivityTaskStarted) -> Self {
        Self::ActivityTaskStarted(Box::new(attributes))
    }
}

impl From<ActivityTaskCompleted> for EventKind {
    fn from(attributes: ActivityTaskCompleted) -> Self {
        Self::ActivityTaskCompleted(Box::new(attributes))
    }
}

impl From<ActivityTaskFailed> for EventKind {
    fn from(attributes: ActivityTaskFailed) -> Self {
        Self::ActivityTaskFailed(Box::new(attributes))
    }
}

impl From<ActivityTaskTimedOut> for EventKind {
    fn from(attributes: ActivityTaskTimedOut) -> Self {
        Self::ActivityTaskTimedOut(Box::new(attributes))
    }
}

impl From<ActivityTaskCancelRequested> for EventKind {
    fn from(attributes: ActivityTaskCancelRequested) -> Self {
        Self::ActivityTaskCancelRequested(Box::new(attributes))
    }
}

impl From<ActivityTaskCanceled> for EventKind {
    fn from(attributes: ActivityTaskCanceled) -> Self {
        Self::ActivityTaskCanceled(Box::new(attributes))
    }
}

impl From<TimerStarted> for EventKind {
    fn from(attributes: TimerStarted) -> Self {
        Self::TimerStarted(Box::new(attributes))
    }
}

impl From<TimerFired> for EventKind {
    fn from(attributes: TimerFired) -> Self {
        Self::TimerFired(Box::new(attributes))
    }
}

impl From<TimerCanceled> for EventKind {
    fn from(attributes: TimerCanceled) -> Self {
        Self::TimerCanceled(Box::new(attributes))
    }
}

impl From<WorkflowExecutionCancelRequested> for EventKind {
    fn from(attributes: WorkflowExecutionCancelRequested) -> Self {
        Self::WorkflowExecutionCancelRequested(Box::new(attributes))
    }
}

impl From<WorkflowExecutionCanceled> for EventKind {
    fn from(attributes: WorkflowExecutionCanceled) -> Self {
        Self::WorkflowExecutionCanceled(Box::new(attributes))
    }
}

impl From<RequestCancelExternalWorkflowExecutionInitiated> for EventKind {
    fn from(attributes: RequestCancelExternalWorkflowExecutionInitiated) -> Self {
        Self::RequestCancelExternalWorkflowExecutionInitiated(Box::new(attributes))
    }
}

impl From<RequestCancelExternalWorkflowExecutionFailed> for EventKind {
    fn from(attributes: RequestCancelExternalWorkflowExecutionFailed) -> Self {
        Self::RequestCancelExternalWorkflowExecutionFailed(Box::new(attributes))
    }
}

impl From<ExternalWorkflowExecutionCancelRequested> for EventKind {
    fn from(attributes: ExternalWorkflowExecutionCancelRequested) -> Self {
        Self::ExternalWorkflowExecutionCancelRequested(Box::new(attributes))
    }
}

impl From<MarkerRecorded> for EventKind {
    fn from(attributes: MarkerRecorded) -> Self {
        Self::MarkerRecorded(Box::new(attributes))
    }
}

impl From<WorkflowExecutionSignaled> for EventKind {
    fn from(attributes: WorkflowExecutionSignaled) -> Self {
        Self::WorkflowExecutionSignaled(Box::new(attributes))
    }
}

impl From<WorkflowExecutionTerminated> for EventKind {
    fn from(attributes: WorkflowExecutionTerminated) -> Self {
        Self::WorkflowExecutionTerminated(Box::new(attributes))
    }
}

impl From<WorkflowExecutionContinuedAsNew> for EventKind {
    fn from(attributes: WorkflowExecutionContinuedAsNew) -> Self {
        Self::WorkflowExecutionContinuedAsNew(Box::new(attributes))
    }
}

impl From<StartChildWorkflowExecutionInitiated> for EventKind {
    fn from(attributes: StartChildWorkflowExecutionInitiated) -> Self {
        Self::StartChildWorkflowExecutionInitiated(Box::new(attributes))
    }
}

impl From<StartChildWorkflowExecutionFailed> for EventKind {
    fn from(attributes: StartChildWorkflowExecutionFailed) -> Self {
        Self::StartChildWorkflowExecutionFailed(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionStarted> for EventKind {
    fn from(attributes: ChildWorkflowExecutionStarted) -> Self {
        Self::ChildWorkflowExecutionStarted(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionCompleted> for EventKind {
    fn from(attributes: ChildWorkflowExecutionCompleted) -> Self {
        Self::ChildWorkflowExecutionCompleted(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionFailed> for EventKind {
    fn from(attributes: ChildWorkflowExecutionFailed) -> Self {
        Self::ChildWorkflowExecutionFailed(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionCanceled> for EventKind {
    fn from(attributes: ChildWorkflowExecutionCanceled) -> Self {
        Self::ChildWorkflowExecutionCanceled(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionTimedOut> for EventKind {
    fn from(attributes: ChildWorkflowExecutionTimedOut) -> Self {
        Self::ChildWorkflowExecutionTimedOut(Box::new(attributes))
    }
}

impl From<ChildWorkflowExecutionTerminated> for EventKind {
    fn from(attributes: ChildWorkflowExecutionTerminated) -> Self {
        Self::ChildWorkflowExecutionTerminated(Box::new(attributes))
    }
}

impl From<SignalExternalWorkflowExecutionInitiated> for EventKind {
    fn from(attributes: SignalExternalWorkflowExecutionInitiated) -> Self {
        Self::SignalExternalWorkflowExecutionInitiated(Box::new(attributes))
    }
}

impl From<SignalExternalWorkflowExecutionFailed> for EventKind {
    fn from(attributes: SignalExternalWorkflowExecutionFailed) -> Self {
        Self::SignalExternalWorkflowExecutionFailed(Box::new(attributes))
    }
}

impl From<ExternalWorkflowExecutionSignaled> for EventKind {
    fn from(attributes: ExternalWorkflowExecutionSignaled) -> Self {
        Self::ExternalWorkflowExecutionSignaled(Box::new(attributes))
    }
}

impl From<UpsertWorkflowSearchAttributes> for EventKind {
    fn from(attributes: UpsertWorkflowSearchAttributes) -> Self {
        Self::UpsertWorkflowSearchAttributes(Box::new(attributes))
    }
}

impl From<WorkflowExecutionUpdateAccepted> for EventKind {
    fn from(attributes: WorkflowExecutionUpdateAccepted) -> Self {
        Self::WorkflowExecutionUpdateAccepted(Box::new(attributes))
    }
}

impl From<WorkflowExecutionUpdateRejected> for EventKind {
    fn from(attributes: WorkflowExecutionUpdateRejected) -> Self {
        Self::WorkflowExecutionUpdateRejected(Box::new(attributes))
    }
}

impl From<WorkflowExecutionUpdateCompleted> for EventKind {
    fn from(attributes: WorkflowExecutionUpdateCompleted) -> Self {
        Self::WorkflowExecutionUpdateCompleted(Box::new(attributes))
    }
}

impl From<WorkflowPropertiesModifiedExternally> for EventKind {
    fn from(attributes: WorkflowPropertiesModifiedExternally) -> Self {
        Self::WorkflowPropertiesModifiedExternally(Box::new(attributes))
    }
}

impl From<ActivityPropertiesModifiedExternally> for EventKind {
    fn from(attributes: ActivityPropertiesModifiedExternally) -> Self {
        Self::ActivityPropertiesModifiedExternally(Box::new(attributes))
    }
}

impl From<WorkflowPropertiesModified> for EventKind {
    fn from(attributes: WorkflowPropertiesModified) -> Self {
        Self::WorkflowPropertiesModified(Box::new(attributes))
    }
}

impl From<WorkflowExecutionUpdateAdmitted> for EventKind {
    fn from(attributes: WorkflowExecutionUpdateAdmitted) -> Self {
        Self::WorkflowExecutionUpdateAdmitted(Box::new(attributes))
    }
}

impl From<NexusOperationScheduled> for EventKind {
    fn from(attributes: NexusOperationScheduled) -> Self {
        Self::NexusOperationScheduled(Box::new(attributes))
    }
}

impl From<NexusOperationStarted> for EventKind {
    fn from(attributes: NexusOperationStarted) -> Self {
        Self::NexusOperationStarted(Box::new(attributes))
    }
}

impl From<NexusOperationCompleted> for EventKind {
    fn from(attributes: NexusOperationCompleted) -> Self {
        Self::NexusOperationCompleted(Box::new(attributes))
    }
}

impl From<NexusOperationFailed> for EventKind {
    fn from(attributes: NexusOperationFailed) -> Self {
        Self::NexusOperationFailed(Box::new(attributes))
    }
}

impl From<NexusOperationCanceled> for EventKind {
    fn from(attributes: NexusOperationCanceled) -> Self {
        Self::NexusOperationCanceled(Box::new(attributes))
    }
}

impl From<NexusOperationTimedOut> for EventKind {
    fn from(attributes: NexusOperationTimedOut) -> Self {
        Self::NexusOperationTimedOut(Box::new(attributes))
    }
}

impl From<NexusOperationCancelRequested> for EventKind {
    fn from(attributes: NexusOperationCancelRequested) -> Self {
        Self::NexusOperationCancelRequested(Box::new(attributes))
    }
}

impl From<WorkflowExecutionOptionsUpdated> for EventKind {
    fn from(attributes: WorkflowExecutionOptionsUpdated) -> Self {
        Self::WorkflowExecutionOptionsUpdated(Box::new(attributes))
    }
}

impl From<NexusOperationCancelRequestCompleted> for EventKind {
    fn from(attributes: NexusOperationCancelRequestCompleted) -> Self {
        Self::NexusOperationCancelRequestCompleted(Box::new(attributes))
    }
}

impl From<NexusOperationCancelRequestFailed> for EventKind {
    fn from(attributes: NexusOperationCancelRequestFailed) -> Self {
        Self::NexusOperationCancelRequestFailed(Box::new(attributes))
    }
}

impl From<WorkflowExecutionPaused> for EventKind {
    fn from(attributes: WorkflowExecutionPaused) -> Self {
        Self::WorkflowExecutionPaused(Box::new(attributes))
    }
}

impl From<WorkflowExecutionUnpaused> for EventKind {
    fn from(attributes: WorkflowExecutionUnpaused) -> Self {
        Self::WorkflowExecutionUnpaused(Box::new(attributes))
    }
}

impl From<WorkflowExecutionTimeSkippingTransitioned> for EventKind {
    fn from(attributes: WorkflowExecutionTimeSkippingTransitioned) -> Self {
        Self::WorkflowExecutionTimeSkippingTransitioned(Box::new(attributes))
    }
}
