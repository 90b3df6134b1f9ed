//! The run that follows a run: after a failure, or because workflow code goes on in a new one.

use crate::{
    decide::start::problem as start_problem,
    event::{
        ContinueAsNewInitiator, Memo, SearchAttributes, WorkflowExecutionContinuedAsNew,
        WorkflowExecutionSignaled, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    },
    execution::Execution,
    failure::{Failure, RetryState},
    ids::{RequestId, RunId},
    requests::{Continued, Parent, StartWorkflow},
    retry::{Next, RetryPolicy},
    time::{Millis, Timestamp},
};

/// What follows a run that failed or timed out.
pub(super) struct AfterFailure {
    pub(super) retry_state: RetryState,
    /// The run that repeats it, if one does.
    pub(super) next: Option<NextRun>,
}

/// A run that follows another one in the same commit.
pub(super) struct NextRun {
    pub(super) run_id: RunId,
    pub(super) start: StartWorkflow,
}

impl AfterFailure {
    /// None follows, for this reason.
    pub(super) fn none(retry_state: RetryState) -> Self {
        Self {
            retry_state,
            next: None,
        }
    }
}

/// Says what follows a run that fails at this time, with the memo and the search attributes as they are then: asked for only where a run
/// follows.
pub(super) fn after_failure(
    exec: &Execution,
    failure: &Failure,
    run_id: RunId,
    at: Timestamp,
    facts: impl FnOnce() -> (Memo, SearchAttributes),
) -> AfterFailure {
    match retries(exec, failure, at) {
        Next::Final(retry_state) => AfterFailure::none(retry_state),
        Next::RetryAt(starts_at) => match retry(exec, failure.clone(), starts_at, at, facts()) {
            None => AfterFailure::none(RetryState::InternalServerError),
            Some(start) => AfterFailure {
                retry_state: RetryState::InProgress,
                next: Some(NextRun { run_id, start }),
            },
        },
    }
}

/// Says whether the workflow's retry policy repeats the run.
fn retries(exec: &Execution, failure: &Failure, at: Timestamp) -> Next {
    let started = exec.started();
    match &started.retry_policy {
        None => Next::Final(RetryState::RetryPolicyNotSet),
        Some(policy) => policy.after(
            started.attempt,
            failure,
            at,
            started.workflow_execution_expiration_time,
        ),
    }
}

/// Returns the start of the run that repeats this one, with the memo and the search attributes as they are now. `None` if no run may
/// start so: it would be refused again and again.
fn retry(
    exec: &Execution,
    failure: Failure,
    starts_at: Timestamp,
    now: Timestamp,
    (memo, search_attributes): (Memo, SearchAttributes),
) -> Option<StartWorkflow> {
    let started = exec.started();
    let mut start = again(exec);
    (start.memo, start.search_attributes) = (memo, search_attributes);
    start.start_delay = Millis::from(starts_at.since(now));
    if let Some(continued) = &mut start.continued {
        continued.initiator = ContinueAsNewInitiator::Retry;
        continued.failure = Some(failure);
        continued.attempt = started.attempt.saturating_add(1);
    }
    start_problem(&start).is_none().then_some(start)
}

/// Returns the start of the run that goes on from this one.
pub(super) fn continue_as_new(
    exec: &Execution,
    attributes: &WorkflowExecutionContinuedAsNew,
    retry_policy: Option<RetryPolicy>,
    unread_signals: Vec<WorkflowExecutionSignaled>,
) -> StartWorkflow {
    let mut start = again(exec);
    start.workflow_type = attributes.workflow_type.clone();
    start.task_queue = attributes.task_queue.clone();
    start.input = attributes.input.clone();
    start.workflow_run_timeout = attributes.workflow_run_timeout;
    start.workflow_task_timeout = attributes.workflow_task_timeout;
    start.start_delay = attributes.backoff_start_interval;
    start.header = attributes.header.clone();
    start.memo = attributes.memo.clone();
    start.search_attributes = attributes.search_attributes.clone();
    start.retry_policy = retry_policy.or(start.retry_policy);
    if let Some(continued) = &mut start.continued {
        continued.initiator = attributes.initiator;
        continued.unread_signals = unread_signals;
    }
    start
}

/// Returns the start of a run like this one.
fn again(exec: &Execution) -> StartWorkflow {
    let started = exec.started();
    let run_id = exec.run_id();
    StartWorkflow {
        workflow_id: started.workflow_id.clone(),
        workflow_type: started.workflow_type.clone(),
        task_queue: started.task_queue.clone(),
        input: started.input.clone(),
        workflow_execution_timeout: started.workflow_execution_timeout,
        workflow_run_timeout: started.workflow_run_timeout,
        workflow_task_timeout: started.workflow_task_timeout,
        // The chain keeps the request that began it: its repetition finds whatever run the chain has come to.
        request_id: started
            .request_id
            .clone()
            .unwrap_or_else(|| RequestId::known(run_id.to_string())),
        identity: started.identity.clone(),
        reuse_policy: WorkflowIdReusePolicy::AllowDuplicate,
        conflict_policy: WorkflowIdConflictPolicy::Fail,
        retry_policy: started.retry_policy.clone(),
        cron_schedule: started.cron_schedule.clone(),
        start_delay: Millis::ZERO,
        memo: exec.memo(),
        search_attributes: exec.search_attributes(),
        header: started.header.clone(),
        parent: parent(exec),
        continued: Some(Continued {
            run_id,
            first_execution_run_id: started.first_execution_run_id,
            initiator: ContinueAsNewInitiator::Workflow,
            failure: None,
            last_completion_result: started.last_completion_result.clone(),
            attempt: 1,
            expiration_time: started.workflow_execution_expiration_time,
            unread_signals: Vec::new(),
        }),
    }
}

fn parent(exec: &Execution) -> Option<Parent> {
    let started = exec.started();
    let execution = started.parent_workflow_execution.clone()?;
    Some(Parent {
        namespace: started.parent_workflow_namespace.clone()?,
        root: started
            .root_workflow_execution
            .clone()
            .unwrap_or_else(|| execution.clone()),
        execution,
        initiated_event_id: started.parent_initiated_event_id,
    })
}
