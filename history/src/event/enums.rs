//! The choices that events name. Temporal: `temporal.api.enums.v1`.

use serde::{Deserialize, Serialize};

/// What happens to children when their parent closes. Temporal: `ParentClosePolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ParentClosePolicy {
    /// They are terminated.
    #[default]
    Terminate,
    /// They go on.
    Abandon,
    /// They are asked to cancel.
    RequestCancel,
}

/// Whether an id may be used again after its run closed. Temporal: `WorkflowIdReusePolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkflowIdReusePolicy {
    /// Always.
    #[default]
    AllowDuplicate,
    /// When the last run failed, timed out, was canceled or terminated.
    AllowDuplicateFailedOnly,
    /// Never while its history is kept.
    RejectDuplicate,
    /// Always; a running one is terminated. Deprecated in Temporal.
    TerminateIfRunning,
}

/// What happens when the id is in use by an open run. Temporal: `WorkflowIdConflictPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkflowIdConflictPolicy {
    /// The start is refused.
    #[default]
    Fail,
    /// The open run is returned.
    UseExisting,
    /// The open run is terminated and a new one starts.
    TerminateExisting,
}

/// Who asked for the new run. Temporal: `ContinueAsNewInitiator`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContinueAsNewInitiator {
    /// Nobody: it is a first run.
    #[default]
    Unspecified,
    /// Workflow code.
    Workflow,
    /// The workflow's retry policy.
    Retry,
    /// The workflow's cron schedule.
    CronSchedule,
}

/// Whether a task queue belongs to one worker. Temporal: `TaskQueueKind`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskQueueKind {
    /// Shared by all workers that poll it.
    #[default]
    Normal,
    /// One worker's own, for the runs it has cached.
    Sticky,
}

/// Why a workflow task failed. Temporal: `WorkflowTaskFailedCause`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names say it; Temporal's enum has the same ones"
)]
pub enum WorkflowTaskFailedCause {
    #[default]
    Unspecified,
    UnhandledCommand,
    BadScheduleActivityAttributes,
    BadRequestCancelActivityAttributes,
    BadStartTimerAttributes,
    BadCancelTimerAttributes,
    BadRecordMarkerAttributes,
    BadCompleteWorkflowExecutionAttributes,
    BadFailWorkflowExecutionAttributes,
    BadCancelWorkflowExecutionAttributes,
    BadRequestCancelExternalWorkflowExecutionAttributes,
    BadContinueAsNewAttributes,
    StartTimerDuplicateId,
    ResetStickyTaskQueue,
    WorkflowWorkerUnhandledFailure,
    BadSignalWorkflowExecutionAttributes,
    BadStartChildExecutionAttributes,
    ForceCloseCommand,
    FailoverCloseCommand,
    BadSignalInputSize,
    ResetWorkflow,
    BadBinary,
    ScheduleActivityDuplicateId,
    BadSearchAttributes,
    NonDeterministicError,
    BadModifyWorkflowPropertiesAttributes,
    PendingChildWorkflowsLimitExceeded,
    PendingActivitiesLimitExceeded,
    PendingSignalsLimitExceeded,
    PendingRequestCancelLimitExceeded,
    BadUpdateWorkflowExecutionMessage,
    UnhandledUpdate,
    BadScheduleNexusOperationAttributes,
    PendingNexusOperationsLimitExceeded,
    BadRequestCancelNexusOperationAttributes,
    FeatureDisabled,
    GrpcMessageTooLarge,
    PayloadsTooLarge,
    ExternalStorageFailure,
    WorkflowPauseRequestedBeforeTaskStarted,
    RequestTooLarge,
}

/// Why a signal or a cancellation did not reach another workflow.
/// Temporal: `SignalExternalWorkflowExecutionFailedCause`, `CancelExternalWorkflowExecutionFailedCause`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExternalFailedCause {
    /// Not said.
    #[default]
    Unspecified,
    /// There is no open run of that id.
    ExternalWorkflowExecutionNotFound,
    /// There is no such namespace.
    NamespaceNotFound,
    /// The target has had as many signals as a run may have.
    SignalCountLimitExceeded,
}

/// Why a child did not start. Temporal: `StartChildWorkflowExecutionFailedCause`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StartChildFailedCause {
    /// Not said.
    #[default]
    Unspecified,
    /// The id is in use, or its policy forbids another run.
    WorkflowAlreadyExists,
    /// There is no such namespace.
    NamespaceNotFound,
}
