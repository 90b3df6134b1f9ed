//! Why a workflow task fails.

use std::time::Duration;

use history::{
    Failure, WorkflowType,
    event::WorkflowTaskFailedCause,
    replay::NonDeterminism,
    task::{FromWorker, WorkflowTaskAnswer, WorkflowTaskToken},
};

use super::lane::KEPT_THREADS_MAX;
use crate::error::application;

/// What to do when code and history disagree.
const MEND: &str = "the code has changed since this run began. Let a worker with the build that began it finish it, \
     keep its path in the code behind wf.patched(\"..\"), or give the new code another workflow name; \
     until then the run waits and loses nothing";

/// Why a workflow task fails.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub(super) cause: WorkflowTaskFailedCause,
    pub(super) failure: Box<Failure>,
}

impl TaskFailure {
    pub(super) fn new(cause: WorkflowTaskFailedCause, kind: &str, message: String) -> Self {
        Self {
            cause,
            failure: Box::new(application(message, kind.to_owned())),
        }
    }

    /// The task can't be worked on with what is cached here; the engine sends the whole history at once.
    pub(super) fn resend() -> Self {
        Self::new(
            WorkflowTaskFailedCause::ResetStickyTaskQueue,
            "NotCached",
            "the run is not cached here up to these events; send its history from the first"
                .to_owned(),
        )
    }

    /// Nobody waits for the answer; it frees the slot. An engine that waits all the same sends the task again.
    pub(super) fn stale() -> Self {
        Self::new(
            WorkflowTaskFailedCause::ResetStickyTaskQueue,
            "Stale",
            "the task's time was over, or its run was evicted, before its code could run"
                .to_owned(),
        )
    }

    /// The code has not given its thread back in time.
    pub(super) fn blocks() -> Self {
        Self::keeps_its_thread(
            "workflow code has not given its thread back for over a second: it loops or blocks. \
             Move long work and blocking calls into an activity"
                .to_owned(),
        )
    }

    /// The code of an attempt before has not come back.
    pub(super) fn still_blocks(since: Duration) -> Self {
        Self::keeps_its_thread(format!(
            "the code of this run still keeps the thread of an attempt before, for {} s: it loops or blocks. \
             Mend it and start the worker anew",
            since.as_secs()
        ))
    }

    /// No more threads are given to code that may never come back.
    pub(super) fn too_many_block(workflow_type: &WorkflowType) -> Self {
        Self::keeps_its_thread(format!(
            "{KEPT_THREADS_MAX} threads of this worker are kept by workflow code that loops or blocks, so `{workflow_type}`, \
             whose code has done that before, is not run until one comes back. Mend it and start the worker anew"
        ))
    }

    fn keeps_its_thread(message: String) -> Self {
        Self::new(
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            "WorkflowCodeBlocks",
            message,
        )
    }

    pub(super) fn unhandled(failure: Box<Failure>) -> Self {
        Self {
            cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            failure,
        }
    }

    pub(super) fn non_deterministic(message: String) -> Self {
        Self::new(
            WorkflowTaskFailedCause::NonDeterministicError,
            "NonDeterminism",
            message,
        )
    }

    /// Returns the answer to a task.
    pub(super) fn of(self, token: WorkflowTaskToken) -> FromWorker {
        FromWorker::WorkflowTask {
            token,
            answer: WorkflowTaskAnswer::Failed {
                cause: self.cause,
                failure: self.failure,
            },
        }
    }
}

impl From<NonDeterminism> for TaskFailure {
    fn from(disagreement: NonDeterminism) -> Self {
        Self::non_deterministic(format!("{disagreement}; {MEND}"))
    }
}
