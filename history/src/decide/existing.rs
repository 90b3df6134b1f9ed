//! What a start means for an id that has been used before.

use crate::{
    decide::{Decision, Rejection, draft::Draft},
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    execution::{Execution, Status},
    ids::{RequestId, RunId, WorkflowId},
    record::Note,
    requests::{StartHeard, StartWorkflow},
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
    /// What this very request was answered before: [`Execution::start_heard`].
    pub heard: Option<StartHeard>,
}

/// What a start means for an id that has been used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// A new run starts.
    StartNew,
    /// This very request was answered before, and is answered so again.
    Repeated {
        /// The run that it began or found: the first one of its chain.
        run_id: RunId,
        /// Whether it began it.
        began: bool,
    },
    /// The open run is the answer: see [`attach_start`].
    UseExisting,
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
    if let Some(heard) = existing.heard {
        return Ok(OnExisting::Repeated {
            run_id: heard.run_id,
            began: heard.began,
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
        WorkflowIdConflictPolicy::UseExisting => Ok(OnExisting::UseExisting),
        WorkflowIdConflictPolicy::TerminateExisting => Ok(OnExisting::TerminateThenStart),
    }
}

/// Records that a start was answered with this open run. Beyond a number of them nothing is recorded: each is an answer only, and
/// would grow the history of a run that never closes without an end.
pub fn attach_start(exec: &Execution, request_id: &RequestId, now: Timestamp) -> Decision {
    if !exec.remembers_attached() {
        return Decision::default();
    }
    let mut draft = Draft::new(exec, now);
    draft.note(Note::StartAttached {
        request_id: request_id.clone(),
    });
    draft.finish()
}
