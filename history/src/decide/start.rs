//! A run starts.

use std::sync::Arc;

use crate::{
    decide::{
        Decision, Rejection,
        draft::Draft,
        size::{facts_problem, payload_problem},
    },
    event::{
        ContinueAsNewInitiator, Event, Memo, WorkflowExecutionStarted, WorkflowIdConflictPolicy,
        WorkflowIdReusePolicy,
    },
    execution::{Execution, merge},
    ids::{EventId, Namespace, RunId},
    limits,
    payload::Payloads,
    record::{Note, Record},
    requests::{RequestsHeard, StartWorkflow},
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Starts a run of an id that no run has had: its first event, and its first workflow task unless that one waits.
///
/// # Errors
/// [`Rejection::InvalidArgument`] when a value is out of its bounds.
pub fn start(
    namespace: &Namespace,
    run_id: RunId,
    request: &StartWorkflow,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    begin(namespace, run_id, request, Vec::new(), now)
}

/// Starts a run that takes the id of another one, which is closed, or closes with it. It knows the requests that that one knew, and
/// gets the signals that it did not read if it goes on from it.
///
/// # Errors
/// [`Rejection::InvalidArgument`] when a value is out of its bounds.
pub fn start_after(
    previous: &Execution,
    run_id: RunId,
    request: &StartWorkflow,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let heard = previous.requests_for_next(request.continued.is_some(), now);
    begin(previous.namespace(), run_id, request, heard, now)
}

fn begin(
    namespace: &Namespace,
    run_id: RunId,
    request: &StartWorkflow,
    heard: Vec<RequestsHeard>,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if let Some((field, problem)) = problem(request) {
        return Err(Rejection::InvalidArgument { field, problem });
    }
    let started = Arc::new(Event {
        id: EventId::FIRST,
        at: now,
        kind: started(run_id, request, now).into(),
    });
    let execution = Execution::started_by(namespace.clone(), run_id, Arc::clone(&started));
    let mut draft = Draft::new(&execution, now);
    draft.push(started);
    if !heard.is_empty() {
        draft.note(Note::RequestsHeard { runs: heard });
    }
    let unread = request.continued.iter().flat_map(|run| &run.unread_signals);
    for signal in unread {
        draft.event(signal.clone());
    }
    let mut decision = draft.finish();
    if request.start_delay.is_zero() {
        first_task(execution, &mut decision, now);
    }
    Ok(decision)
}

/// Adds the first workflow task to the decision that starts a run.
fn first_task(mut execution: Execution, decision: &mut Decision, now: Timestamp) {
    let applied = decision
        .records
        .iter()
        // The first is what the execution is of.
        .skip(1)
        .try_for_each(|record: &Record| execution.apply(record));
    debug_assert_eq!(applied, Ok(()), "what comes with a start follows it");
    let mut draft = Draft::new(&execution, now);
    draft.schedule_task(None);
    let task = draft.finish();
    decision.records.extend(task.records);
    decision.effects.extend(task.effects);
}

fn started(run_id: RunId, request: &StartWorkflow, now: Timestamp) -> WorkflowExecutionStarted {
    let parent = request.parent.as_ref();
    let continued = request.continued.as_ref();
    let execution_timeout = request.workflow_execution_timeout;
    let run_timeout = shorter(request.workflow_run_timeout, execution_timeout);
    let task_timeout = request
        .workflow_task_timeout
        .non_zero()
        .unwrap_or(limits::WORKFLOW_TASK_TIMEOUT)
        .min(limits::WORKFLOW_TASK_TIMEOUT_MAX);
    let expires_at = match continued {
        Some(continued) => continued.expiration_time,
        None => execution_timeout
            .non_zero()
            .map(|timeout| now.after(request.start_delay).after(timeout)),
    };
    WorkflowExecutionStarted {
        workflow_type: request.workflow_type.clone(),
        workflow_id: request.workflow_id.clone(),
        task_queue: request.task_queue.clone(),
        input: request.input.clone(),
        workflow_execution_timeout: execution_timeout,
        workflow_run_timeout: run_timeout,
        workflow_task_timeout: shorter(task_timeout, run_timeout),
        workflow_execution_expiration_time: expires_at,
        parent_workflow_namespace: parent.map(|parent| parent.namespace.clone()),
        parent_workflow_execution: parent.map(|parent| parent.execution.clone()),
        parent_initiated_event_id: parent.map_or(EventId::NONE, |parent| parent.initiated_event_id),
        root_workflow_execution: parent.map(|parent| parent.root.clone()),
        continued_execution_run_id: continued.map(|continued| continued.run_id),
        initiator: continued.map_or(ContinueAsNewInitiator::Unspecified, |continued| {
            continued.initiator
        }),
        continued_failure: continued.and_then(|continued| continued.failure.clone()),
        last_completion_result: continued.map_or_else(Payloads::default, |continued| {
            continued.last_completion_result.clone()
        }),
        original_execution_run_id: run_id,
        first_execution_run_id: continued
            .map_or(run_id, |continued| continued.first_execution_run_id),
        identity: request.identity.clone(),
        retry_policy: request.retry_policy.clone().map(RetryPolicy::filled),
        attempt: continued.map_or(1, |continued| continued.attempt),
        cron_schedule: request.cron_schedule.clone(),
        first_workflow_task_backoff: request.start_delay,
        memo: without_nulls(&request.memo),
        search_attributes: without_nulls(&request.search_attributes),
        header: request.header.clone(),
        request_id: Some(request.request_id.clone()),
    }
}

/// Returns facts without those that are null, which says that there is none.
fn without_nulls(facts: &Memo) -> Memo {
    let mut there = Memo::new();
    merge(&mut there, facts);
    there
}

/// Returns the shorter of two timeouts, of which zero means none.
fn shorter(a: Millis, b: Millis) -> Millis {
    match (a.non_zero(), b.non_zero()) {
        (Some(a), Some(b)) => a.min(b),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => Millis::ZERO,
    }
}

/// Says what is wrong with a start, if anything: the field and what to change.
pub(super) fn problem(request: &StartWorkflow) -> Option<(&'static str, String)> {
    let ids = [
        ("workflow_id", request.workflow_id.problem()),
        ("workflow_type", request.workflow_type.problem()),
        ("task_queue", request.task_queue.problem()),
        ("request_id", request.request_id.problem()),
    ];
    for (field, problem) in ids {
        if let Some(problem) = problem {
            return Some((field, problem.to_string()));
        }
    }
    let durations = [
        (
            "workflow_execution_timeout",
            request.workflow_execution_timeout,
        ),
        ("workflow_run_timeout", request.workflow_run_timeout),
        ("workflow_task_timeout", request.workflow_task_timeout),
        ("start_delay", request.start_delay),
    ];
    for (field, duration) in durations {
        if let Some(problem) = duration_problem(duration) {
            return Some((field, problem));
        }
    }
    if !request.cron_schedule.is_empty() {
        return Some((
            "cron_schedule",
            "cron is not offered here; use a schedule".to_owned(),
        ));
    }
    if request.reuse_policy == WorkflowIdReusePolicy::RejectDuplicate
        && request.conflict_policy == WorkflowIdConflictPolicy::TerminateExisting
    {
        return Some((
            "conflict_policy",
            "TerminateExisting contradicts the reuse policy RejectDuplicate; choose one".to_owned(),
        ));
    }
    let policy = request.retry_policy.clone().map(RetryPolicy::filled);
    if let Some(problem) = policy.as_ref().and_then(RetryPolicy::problem) {
        return Some(("retry_policy", problem.to_owned()));
    }
    payload_problem(&request.input)
        .map(|problem| ("input", problem))
        .or_else(|| facts_problem(&request.memo).map(|problem| ("memo", problem)))
        .or_else(|| facts_problem(&request.header).map(|problem| ("header", problem)))
        .or_else(|| {
            facts_problem(&request.search_attributes).map(|problem| ("search_attributes", problem))
        })
}

/// Says what is wrong with a duration, if anything.
pub(super) fn duration_problem(duration: Millis) -> Option<String> {
    (duration > limits::DURATION_MAX).then(|| {
        format!(
            "{} ms is too long; the most is {} ms",
            duration.0,
            limits::DURATION_MAX.0
        )
    })
}
