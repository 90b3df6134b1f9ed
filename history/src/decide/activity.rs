//! Activities: attempts start, end, say that they are alive, and are lost.

use crate::{
    decide::{Decision, Rejection, attempt, draft::Draft, size::payload_problem},
    event::{ActivityTaskCanceled, ActivityTaskCompleted},
    execution::{ActivityState, AttemptState, Execution},
    failure::{Failure, FailureInfo},
    ids::{EventId, Identity},
    payload::Payloads,
    record::Note,
    time::Timestamp,
};

/// A worker takes an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct StartActivityTask {
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The worker.
    pub identity: Option<Identity>,
}

/// An activity returned.
#[derive(Debug, Clone, PartialEq)]
pub struct CompleteActivityTask {
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What it returned.
    pub result: Payloads,
    /// The worker.
    pub identity: Option<Identity>,
}

/// An activity failed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailActivityTask {
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How.
    pub failure: Failure,
    /// The worker.
    pub identity: Option<Identity>,
}

/// An activity ended as canceled.
#[derive(Debug, Clone, PartialEq)]
pub struct CancelActivityTask {
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What it said of it.
    pub details: Payloads,
    /// The worker.
    pub identity: Option<Identity>,
}

/// An activity is alive.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatActivity {
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How far it is.
    pub details: Payloads,
    /// The worker.
    pub identity: Option<Identity>,
}

/// Hands an attempt to a worker. Of the record, see [`Execution::logs`].
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt does not wait for a worker,
/// [`Rejection::TaskAlreadyStarted`] when one has it.
pub fn start_activity_task(
    exec: &Execution,
    request: &StartActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    match activity.state {
        AttemptState::Scheduled { .. } => {}
        AttemptState::Started { .. } => return Err(Rejection::TaskAlreadyStarted),
        AttemptState::Backoff { .. } | AttemptState::Ended => {
            return Err(Rejection::ActivityTaskNotFound);
        }
    }
    let mut draft = Draft::new(exec, now);
    draft.note(Note::ActivityAttemptStarted {
        scheduled_event_id: request.scheduled_event_id,
        attempt: request.attempt,
        identity: request.identity.clone(),
    });
    Ok(draft.finish())
}

/// Records what an activity returned. A result that is too large fails the activity for good; the decision's `refusal` says so.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over.
pub fn complete_activity_task(
    exec: &Execution,
    request: &CompleteActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    let identity = request.identity.clone();
    if let Some(refusal) = too_large("result", &request.result) {
        return Ok(refused(exec, activity, refusal, identity, now));
    }
    let completed = ActivityTaskCompleted {
        result: request.result.clone(),
        scheduled_event_id: request.scheduled_event_id,
        started_event_id: EventId::NONE,
        identity: identity.clone(),
    };
    Ok(attempt::ended(
        exec,
        activity,
        identity,
        completed.into(),
        now,
    ))
}

/// Records that an attempt failed: the next one follows if the policy says so, else the activity failed.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over.
pub fn fail_activity_task(
    exec: &Execution,
    request: &FailActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    let failure = attempt::bounded(&request.failure);
    let identity = request.identity.clone();
    Ok(attempt::failed(exec, activity, failure, identity, now))
}

/// Records that an activity ended as canceled. If nobody asked for that, the attempt has failed; if what it says of it is too
/// large, the activity has, for good. The decision's `refusal` says so.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over.
pub fn cancel_activity_task(
    exec: &Execution,
    request: &CancelActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    let identity = request.identity.clone();
    let Some(latest_cancel_requested_event_id) = activity.cancel_requested_event_id else {
        let refusal = Rejection::CancellationNotRequested;
        return Ok(refused(exec, activity, refusal, identity, now));
    };
    if let Some(refusal) = too_large("details", &request.details) {
        return Ok(refused(exec, activity, refusal, identity, now));
    }
    let canceled = ActivityTaskCanceled {
        details: request.details.clone(),
        latest_cancel_requested_event_id,
        scheduled_event_id: request.scheduled_event_id,
        started_event_id: EventId::NONE,
        identity: identity.clone(),
    };
    Ok(attempt::ended(
        exec,
        activity,
        identity,
        canceled.into(),
        now,
    ))
}

/// Takes note that an attempt is alive, and of how far it is. If what it says of that is too large, the activity fails for good;
/// the decision's `refusal` says so.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over: the worker should stop.
pub fn heartbeat_activity(
    exec: &Execution,
    request: &HeartbeatActivity,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    if !activity.is_started() {
        return Err(Rejection::ActivityTaskNotFound);
    }
    if let Some(refusal) = too_large("heartbeat details", &request.details) {
        let identity = request.identity.clone();
        return Ok(refused(exec, activity, refusal, identity, now));
    }
    let mut draft = Draft::new(exec, now);
    draft.note(Note::ActivityHeartbeat {
        scheduled_event_id: request.scheduled_event_id,
        attempt: request.attempt,
        details: request.details.clone(),
    });
    Ok(draft.finish())
}

/// Ends an attempt whose worker is gone, as if its heartbeat timeout had passed.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when no worker has the attempt.
pub fn lose_activity_task(
    exec: &Execution,
    scheduled_event_id: EventId,
    attempt: u32,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, scheduled_event_id, attempt)?;
    if !activity.is_started() {
        return Err(Rejection::ActivityTaskNotFound);
    }
    Ok(attempt::lost(exec, activity, now))
}

fn open_attempt(
    exec: &Execution,
    scheduled_event_id: EventId,
    attempt: u32,
) -> Result<&ActivityState, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    exec.activity(scheduled_event_id)
        .filter(|activity| activity.is_open(attempt))
        .ok_or(Rejection::ActivityTaskNotFound)
}

/// Ends an attempt by a failure that says why its worker's answer is refused. Nothing else would end it before its timeout: the
/// worker is done with it. What is too large would be so again.
fn refused(
    exec: &Execution,
    activity: &ActivityState,
    refusal: Rejection,
    identity: Option<Identity>,
    now: Timestamp,
) -> Decision {
    let non_retryable = refusal != Rejection::CancellationNotRequested;
    let failure = Failure::new(refusal.to_string(), FailureInfo::Server { non_retryable });
    let mut decision = attempt::failed(exec, activity, failure, identity, now);
    decision.refusal.get_or_insert(refusal);
    decision
}

fn too_large(field: &'static str, payloads: &Payloads) -> Option<Rejection> {
    let problem = payload_problem(payloads)?;
    Some(Rejection::InvalidArgument { field, problem })
}
