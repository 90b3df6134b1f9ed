//! What a start means for an id that has been used before.

use crate::{
    decide::{Rejection, StartWorkflow},
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    execution::Status,
    ids::{RequestId, RunId, WorkflowId},
    time::Timestamp,
};

/// The last run of an id that has been used before.
#[derive(Debug, Clone, PartialEq)]
pub struct Existing<'a> {
    /// The id.
    pub workflow_id: &'a WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// Whether it is open, or how it closed.
    pub status: Status,
    /// The request that started it.
    pub start_request_id: Option<&'a RequestId>,
    /// When it started.
    pub started_at: Timestamp,
}

/// What a start means for an id that has been used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// A new run starts.
    StartNew,
    /// The run that is there is the answer.
    UseExisting {
        /// Which run.
        run_id: RunId,
        /// Whether this very request started it.
        started: bool,
    },
    /// The open run is terminated, and a new one starts.
    TerminateThenStart,
}

/// Says what a start means for an id that has been used before.
///
/// # Errors
/// [`Rejection::WorkflowAlreadyStarted`] when the open run may not be used, [`Rejection::WorkflowIdReuseRefused`] when
/// the closed one forbids another.
pub fn start_on_existing(
    existing: &Existing<'_>,
    request: &StartWorkflow,
) -> Result<OnExisting, Rejection> {
    let run_id = existing.run_id;
    if existing.start_request_id == Some(&request.request_id) {
        return Ok(OnExisting::UseExisting {
            run_id,
            started: true,
        });
    }
    let refused = || Rejection::WorkflowIdReuseRefused {
        workflow_id: existing.workflow_id.clone(),
        run_id,
    };
    match (existing.status, request.reuse_policy) {
        (Status::Running, reuse) => on_open(existing, request, reuse),
        (_, WorkflowIdReusePolicy::AllowDuplicate | WorkflowIdReusePolicy::TerminateIfRunning) => {
            Ok(OnExisting::StartNew)
        }
        (
            Status::Failed | Status::Canceled | Status::Terminated | Status::TimedOut,
            WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
        ) => Ok(OnExisting::StartNew),
        (
            Status::Completed | Status::ContinuedAsNew,
            WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
        )
        | (_, WorkflowIdReusePolicy::RejectDuplicate) => Err(refused()),
    }
}

fn on_open(
    existing: &Existing<'_>,
    request: &StartWorkflow,
    reuse: WorkflowIdReusePolicy,
) -> Result<OnExisting, Rejection> {
    if reuse == WorkflowIdReusePolicy::TerminateIfRunning {
        return Ok(OnExisting::TerminateThenStart);
    }
    match request.conflict_policy {
        WorkflowIdConflictPolicy::Fail => Err(Rejection::WorkflowAlreadyStarted {
            workflow_id: existing.workflow_id.clone(),
            run_id: existing.run_id,
        }),
        WorkflowIdConflictPolicy::UseExisting => Ok(OnExisting::UseExisting {
            run_id: existing.run_id,
            started: false,
        }),
        WorkflowIdConflictPolicy::TerminateExisting => Ok(OnExisting::TerminateThenStart),
    }
}
