//! Workflow tasks: a worker takes one, completes it, fails it, or is gone.

use crate::{
    command::Command,
    decide::{
        Decision, Rejection,
        commands::{Refused, Turn},
        draft::{Draft, TaskEnd},
        finish::too_long,
        size::failure_problem,
    },
    effect::Effect,
    event::{SdkMetadata, Sticky, WorkflowTaskCompleted, WorkflowTaskFailedCause},
    execution::{Execution, WorkflowTaskStart, WorkflowTaskState},
    failure::{Failure, FailureInfo, TimeoutType},
    ids::{EventId, Identity, RunId},
    limits,
    record::Note,
    time::Timestamp,
};

/// A worker takes a workflow task.
#[derive(Debug, Clone, PartialEq)]
pub struct StartWorkflowTask {
    /// The `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The worker.
    pub identity: Option<Identity>,
    /// The stored size of the history.
    pub history_bytes: u64,
}

/// Workflow code ran as far as it could.
#[derive(Debug, Clone, PartialEq)]
pub struct CompleteWorkflowTask {
    /// The `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// The `WorkflowTaskStarted` event, or the id that it will have.
    pub started_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The worker.
    pub identity: Option<Identity>,
    /// What it asks for, in order.
    pub commands: Vec<Command>,
    /// What the SDK needs to know again at replay.
    pub sdk_metadata: SdkMetadata,
    /// The worker's own queue, if it polls one and keeps the run cached.
    pub sticky: Option<Sticky>,
    /// Whether another workflow task is to follow at once.
    pub force_create_new_workflow_task: bool,
    /// The run that follows, if one does. It must be given when the last command closes the run.
    pub new_run_id: Option<RunId>,
}

/// Workflow code could not run.
#[derive(Debug, Clone, PartialEq)]
pub struct FailWorkflowTask {
    /// The `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// The `WorkflowTaskStarted` event, or the id that it will have.
    pub started_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Why.
    pub cause: WorkflowTaskFailedCause,
    /// More of why.
    pub failure: Option<Failure>,
    /// The worker.
    pub identity: Option<Identity>,
}

/// Hands a workflow task to a worker. A run whose history is too large is terminated instead.
///
/// # Errors
/// [`Rejection::WorkflowTaskNotFound`] when the task does not wait for a worker, [`Rejection::TaskAlreadyStarted`] when
/// one has it.
pub fn start_workflow_task(
    exec: &Execution,
    request: &StartWorkflowTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let task = exec
        .workflow_task()
        .filter(|task| {
            task.scheduled_event_id == request.scheduled_event_id
                && task.attempt == request.attempt
                && task.backoff_until().is_none()
        })
        .ok_or(Rejection::WorkflowTaskNotFound)?;
    if task.is_started() {
        return Err(Rejection::TaskAlreadyStarted);
    }
    if request.history_bytes > limits::HISTORY_BYTES_MAX {
        return Ok(too_long(exec, now, "50 MiB"));
    }
    let mut draft = Draft::new(exec, now);
    let history_size_bytes = i64::try_from(request.history_bytes).unwrap_or(i64::MAX);
    if task.is_transient() {
        draft.note(Note::WorkflowTaskAttemptStarted {
            attempt: task.attempt,
            identity: request.identity.clone(),
            history_size_bytes,
        });
    } else {
        draft.event(exec.workflow_task_started(
            task.scheduled_event_id,
            request.identity.clone(),
            history_size_bytes,
        ));
    }
    Ok(draft.finish())
}

/// Records what workflow code asked for. When one command can't be carried out, none is: the workflow task fails,
/// and the decision's `refusal` says why.
///
/// # Errors
/// [`Rejection::WorkflowTaskNotFound`] when the task is not with this worker any more.
pub fn complete_workflow_task(
    exec: &Execution,
    request: &CompleteWorkflowTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let (task, start) = with_worker(
        exec,
        request.scheduled_event_id,
        request.started_event_id,
        request.attempt,
    )?;
    match complete(exec, task, start, request, now) {
        Ok(decision) => Ok(decision),
        Err(refused) => Ok(refuse(exec, request.identity.clone(), refused, now)),
    }
}

fn complete(
    exec: &Execution,
    task: &WorkflowTaskState,
    start: &WorkflowTaskStart,
    request: &CompleteWorkflowTask,
    now: Timestamp,
) -> Result<Decision, Refused> {
    let mut draft = Draft::new(exec, now);
    for event in exec.transient_events() {
        draft.push(event);
    }
    draft.task_completes();
    let completed = draft.event(WorkflowTaskCompleted {
        scheduled_event_id: task.scheduled_event_id,
        started_event_id: start.started_event_id,
        identity: request.identity.clone(),
        sdk_metadata: request.sdk_metadata.clone(),
        sticky: request.sticky.clone(),
    });
    let mut turn = Turn::new(&mut draft, completed, request.new_run_id);
    turn.carry_out(&request.commands)?;
    let needs_task = turn.needs_task;
    if !draft.is_closed() {
        let anything_new = draft.flush();
        if anything_new || needs_task || request.force_create_new_workflow_task {
            draft.schedule_task(request.sticky.as_ref());
        }
    }
    Ok(draft.finish())
}

/// Fails the workflow task under way because of its answer.
fn refuse(
    exec: &Execution,
    identity: Option<Identity>,
    refused: Refused,
    now: Timestamp,
) -> Decision {
    let Refused { cause, message } = refused;
    let failure = server_failure(message.clone());
    let draft = failed(exec, TaskEnd::Failed(cause, Some(failure), identity), now);
    draft.refuse(Rejection::WorkflowTaskRefused { cause, message })
}

fn server_failure(message: String) -> Box<Failure> {
    let non_retryable = true;
    Box::new(Failure::new(message, FailureInfo::Server { non_retryable }))
}

/// Records that workflow code could not run: it is tried again, later and later.
///
/// # Errors
/// [`Rejection::WorkflowTaskNotFound`] when the task is not with this worker any more.
pub fn fail_workflow_task(
    exec: &Execution,
    request: &FailWorkflowTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    with_worker(
        exec,
        request.scheduled_event_id,
        request.started_event_id,
        request.attempt,
    )?;
    let failure = request.failure.as_ref().map(|failure| {
        failure_problem(failure).map_or_else(
            || Box::new(failure.clone()),
            |problem| server_failure(format!("the failure {problem}")),
        )
    });
    let end = TaskEnd::Failed(request.cause, failure, request.identity.clone());
    Ok(failed(exec, end, now).finish())
}

/// Ends the workflow task whose worker is gone, as if its timeout had passed.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::WorkflowTaskNotFound`] when no worker has it.
pub fn lose_workflow_task(exec: &Execution, now: Timestamp) -> Result<Decision, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let is_with_worker = exec
        .workflow_task()
        .is_some_and(WorkflowTaskState::is_started);
    if !is_with_worker {
        return Err(Rejection::WorkflowTaskNotFound);
    }
    Ok(timed_out(exec, now))
}

/// Ends the wait before the next attempt of a workflow task that failed: a worker has come that may do better.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::WorkflowTaskNotFound`] when none waits so.
pub fn hasten_workflow_task(exec: &Execution, now: Timestamp) -> Result<Decision, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let task = exec
        .workflow_task()
        .filter(|task| task.backoff_until().is_some())
        .ok_or(Rejection::WorkflowTaskNotFound)?;
    Ok(wait_is_over(exec, task, now))
}

/// Hands a workflow task out that has waited for its next attempt.
pub(super) fn wait_is_over(exec: &Execution, task: &WorkflowTaskState, now: Timestamp) -> Decision {
    let mut draft = Draft::new(exec, now);
    draft.note(Note::WorkflowTaskAttemptScheduled {
        attempt: task.attempt,
    });
    draft.effects.push(Effect::dispatch_workflow_task(task));
    draft.finish()
}

/// Says what follows when the worker did not answer in time.
pub(super) fn timed_out(exec: &Execution, now: Timestamp) -> Decision {
    let mut draft = Draft::new(exec, now);
    draft.end_task(TaskEnd::TimedOut(TimeoutType::StartToClose));
    let anything_new = draft.flush();
    draft.retry_task(anything_new, true);
    draft.finish()
}

fn failed(exec: &Execution, end: TaskEnd, now: Timestamp) -> Draft<'_> {
    let mut draft = Draft::new(exec, now);
    draft.end_task(end);
    let anything_new = draft.flush();
    draft.retry_task(anything_new, false);
    draft
}

fn with_worker(
    exec: &Execution,
    scheduled_event_id: EventId,
    started_event_id: EventId,
    attempt: u32,
) -> Result<(&WorkflowTaskState, &WorkflowTaskStart), Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    exec.workflow_task()
        .filter(|task| task.scheduled_event_id == scheduled_event_id && task.attempt == attempt)
        .and_then(|task| Some((task, task.start()?)))
        .filter(|(_, start)| start.started_event_id == started_event_id)
        .ok_or(Rejection::WorkflowTaskNotFound)
}
