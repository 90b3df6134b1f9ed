//! Why a request is refused.

use crate::{
    event::WorkflowTaskFailedCause,
    ids::{RunId, WorkflowId},
};

/// Why a request can't be done now. It changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The run is closed.
    #[error("workflow execution already completed")]
    WorkflowClosed,
    /// An open run has this id and the conflict policy is to fail.
    #[error(
        "workflow {workflow_id} is already running as run {run_id}; use another id, or the conflict policy UseExisting or TerminateExisting"
    )]
    WorkflowAlreadyStarted {
        /// The id.
        workflow_id: WorkflowId,
        /// The open run.
        run_id: RunId,
    },
    /// A closed run has this id and the reuse policy forbids another.
    #[error(
        "workflow {workflow_id} has run before as {run_id} and its reuse policy forbids another run; use another id or the policy AllowDuplicate"
    )]
    WorkflowIdReuseRefused {
        /// The id.
        workflow_id: WorkflowId,
        /// The closed run.
        run_id: RunId,
    },
    /// The token names a workflow task that is no longer current. Harmless: drop the answer.
    #[error("workflow task not found: it was answered, timed out or superseded")]
    WorkflowTaskNotFound,
    /// The token names an attempt that is over. Harmless: drop the answer.
    #[error("activity task not found: it was answered, timed out, canceled or superseded")]
    ActivityTaskNotFound,
    /// The task has been handed out already.
    #[error("the task has been started already")]
    TaskAlreadyStarted,
    /// The answer to a workflow task was refused, and the refusal recorded: see [`Decision::refusal`](crate::decide::Decision::refusal).
    #[error("{cause:?}: {message}")]
    WorkflowTaskRefused {
        /// Why.
        cause: WorkflowTaskFailedCause,
        /// What to change.
        message: String,
    },
    /// A run takes only so many signals.
    #[error("the workflow has had {0} signals, the most a run may have; continue as new")]
    TooManySignals(usize),
    /// A value is out of its bounds.
    #[error("{field}: {problem}")]
    InvalidArgument {
        /// Which one, in the words of the request.
        field: &'static str,
        /// What to change.
        problem: String,
    },
    /// One more event would be too many, or the history is too large: the run was terminated.
    #[error(
        "the history of the run has grown beyond {0}, so it was terminated; continue as new in time"
    )]
    HistoryTooLong(&'static str),
    /// A cancellation was requested before, by another request.
    #[error("cancellation was requested already")]
    CancellationAlreadyRequested,
    /// The activity did not ask to be canceled.
    #[error("no cancellation of this activity was requested")]
    CancellationNotRequested,
}

impl Rejection {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WorkflowClosed => "WORKFLOW_CLOSED",
            Self::WorkflowAlreadyStarted { .. } => "WORKFLOW_ALREADY_STARTED",
            Self::WorkflowIdReuseRefused { .. } => "WORKFLOW_ID_REUSE_REFUSED",
            Self::WorkflowTaskNotFound => "WORKFLOW_TASK_NOT_FOUND",
            Self::ActivityTaskNotFound => "ACTIVITY_TASK_NOT_FOUND",
            Self::TaskAlreadyStarted => "TASK_ALREADY_STARTED",
            Self::WorkflowTaskRefused { .. } => "WORKFLOW_TASK_REFUSED",
            Self::TooManySignals(_) => "TOO_MANY_SIGNALS",
            Self::HistoryTooLong(_) => "HISTORY_TOO_LONG",
            Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            Self::CancellationAlreadyRequested => "CANCELLATION_ALREADY_REQUESTED",
            Self::CancellationNotRequested => "CANCELLATION_NOT_REQUESTED",
        }
    }
}
