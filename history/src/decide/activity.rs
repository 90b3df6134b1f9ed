//! Activities: attempts start, end, say that they are alive, and are lost.

use crate::{
    decide::{Decision, Effect, Rejection, draft::Draft, failure_problem, payload_problem},
    event::{
        ActivityTaskCanceled, ActivityTaskCompleted, ActivityTaskFailed, ActivityTaskStarted,
        ActivityTaskTimedOut, EventKind,
    },
    execution::{ActivityState, AttemptState, Execution},
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    ids::{EventId, Identity},
    payload::Payloads,
    record::Note,
    retry::Next,
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

/// Hands an attempt to a worker. Of the record, see [`crate::Record::is_volatile`].
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

/// Records what an activity returned. A result that is too large fails the activity for good.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over.
pub fn complete_activity_task(
    exec: &Execution,
    request: &CompleteActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    if let Some(problem) = payload_problem(&request.result) {
        let failure = Failure::new(
            format!("result {problem}"),
            FailureInfo::Server {
                non_retryable: true,
            },
        );
        return Ok(attempt_failed(
            exec,
            activity,
            failure,
            request.identity.clone(),
            now,
        ));
    }
    let completed = ActivityTaskCompleted {
        result: request.result.clone(),
        scheduled_event_id: request.scheduled_event_id,
        started_event_id: EventId::NONE,
        identity: request.identity.clone(),
    };
    Ok(ended(
        exec,
        activity,
        request.identity.clone(),
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
    let failure = bounded(&request.failure);
    Ok(attempt_failed(
        exec,
        activity,
        failure,
        request.identity.clone(),
        now,
    ))
}

/// Records that an activity ended as canceled.
///
/// # Errors
/// [`Rejection::ActivityTaskNotFound`] when the attempt is over, [`Rejection::CancellationNotRequested`] when nobody
/// asked for that.
pub fn cancel_activity_task(
    exec: &Execution,
    request: &CancelActivityTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let activity = open_attempt(exec, request.scheduled_event_id, request.attempt)?;
    let Some(latest_cancel_requested_event_id) = activity.cancel_requested_event_id else {
        return Err(Rejection::CancellationNotRequested);
    };
    check_payloads("details", &request.details)?;
    let canceled = ActivityTaskCanceled {
        details: request.details.clone(),
        latest_cancel_requested_event_id,
        scheduled_event_id: request.scheduled_event_id,
        started_event_id: EventId::NONE,
        identity: request.identity.clone(),
    };
    Ok(ended(
        exec,
        activity,
        request.identity.clone(),
        canceled.into(),
        now,
    ))
}

/// Takes note that an attempt is alive, and of how far it is.
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
    check_payloads("details", &request.details)?;
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
    Ok(timed_out(exec, activity, TimeoutType::Heartbeat, now))
}

/// Says what the passing of a timeout leads to. The worker is told, for it may still be at it.
pub(super) fn timed_out(
    exec: &Execution,
    activity: &ActivityState,
    timeout_type: TimeoutType,
    now: Timestamp,
) -> Decision {
    let mut decision = timeout(exec, activity, timeout_type, now);
    if activity.is_started() {
        decision.effects.push(Effect::cancel_activity(activity));
    }
    decision
}

fn timeout(
    exec: &Execution,
    activity: &ActivityState,
    timeout_type: TimeoutType,
    now: Timestamp,
) -> Decision {
    let failure = Failure::timed_out(timeout_type, activity.heartbeat_details.clone());
    let retry_state = match next(exec, activity, &failure, now) {
        Next::RetryAt(at) => return retried(exec, activity, failure, None, at, now),
        Next::Final(retry_state) => retry_state,
    };
    // A next attempt would begin too late, so it is the time for all of them that has run out.
    let mut failure = match retry_state {
        RetryState::Timeout => Failure::timed_out(
            TimeoutType::ScheduleToClose,
            activity.heartbeat_details.clone(),
        ),
        _ => failure,
    };
    failure.cause.clone_from(&activity.last_failure);
    let timed_out = ActivityTaskTimedOut {
        failure,
        scheduled_event_id: activity.scheduled_event_id(),
        started_event_id: EventId::NONE,
        retry_state,
    };
    if activity.is_started() {
        ended(exec, activity, None, timed_out.into(), now)
    } else {
        Draft::of_arrival(exec, now, vec![timed_out.into()]).finish_arrival()
    }
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

fn check_payloads(field: &'static str, payloads: &Payloads) -> Result<(), Rejection> {
    match payload_problem(payloads) {
        None => Ok(()),
        Some(problem) => Err(Rejection::InvalidArgument { field, problem }),
    }
}

fn attempt_failed(
    exec: &Execution,
    activity: &ActivityState,
    failure: Failure,
    identity: Option<Identity>,
    now: Timestamp,
) -> Decision {
    match next(exec, activity, &failure, now) {
        Next::RetryAt(at) => retried(exec, activity, failure, identity, at, now),
        Next::Final(retry_state) => {
            let failed = ActivityTaskFailed {
                failure,
                scheduled_event_id: activity.scheduled_event_id(),
                started_event_id: EventId::NONE,
                identity: identity.clone(),
                retry_state,
            };
            ended(exec, activity, identity, failed.into(), now)
        }
    }
}

fn next(exec: &Execution, activity: &ActivityState, failure: &Failure, now: Timestamp) -> Next {
    if activity.cancel_requested_event_id.is_some() {
        return Next::Final(RetryState::CancelRequested);
    }
    let attributes = activity.attributes();
    let expires_at = attributes
        .schedule_to_close_timeout
        .non_zero()
        .map(|timeout| activity.scheduled.at.after(timeout));
    attributes
        .retry_policy
        .after(activity.attempt, failure, exec.at(now), expires_at)
}

fn retried(
    exec: &Execution,
    activity: &ActivityState,
    failure: Failure,
    identity: Option<Identity>,
    next_attempt_at: Timestamp,
    now: Timestamp,
) -> Decision {
    let (started_at, worker) = start_of(activity);
    let mut draft = Draft::new(exec, now);
    draft.note(Note::ActivityAttemptFailed {
        scheduled_event_id: activity.scheduled_event_id(),
        attempt: activity.attempt,
        started_at,
        identity: worker.or(identity),
        failure: Box::new(failure),
        next_attempt_at,
    });
    draft.finish()
}

/// Writes the start of the last attempt with its end.
fn ended(
    exec: &Execution,
    activity: &ActivityState,
    identity: Option<Identity>,
    end: EventKind,
    now: Timestamp,
) -> Decision {
    let (started_at, worker) = start_of(activity);
    let started = ActivityTaskStarted {
        scheduled_event_id: activity.scheduled_event_id(),
        identity: worker.or(identity),
        request_id: None,
        attempt: activity.attempt,
        last_failure: activity.last_failure.as_deref().cloned(),
        started_at,
    };
    Draft::of_arrival(exec, now, vec![started.into(), end]).finish_arrival()
}

/// Returns when the attempt was handed out and to whom, if that is known.
fn start_of(activity: &ActivityState) -> (Option<Timestamp>, Option<Identity>) {
    match &activity.state {
        AttemptState::Started { at, identity, .. } => (Some(*at), identity.clone()),
        AttemptState::Scheduled { .. } | AttemptState::Backoff { .. } | AttemptState::Ended => {
            (None, None)
        }
    }
}

/// Returns a failure that is small enough to be recorded, again and again.
fn bounded(failure: &Failure) -> Failure {
    match failure_problem(failure) {
        None => failure.clone(),
        Some(problem) => {
            let message: String = failure.message.chars().take(1000).collect();
            Failure {
                info: match &failure.info {
                    FailureInfo::Application {
                        kind,
                        non_retryable,
                        next_retry_delay,
                        ..
                    } => FailureInfo::Application {
                        kind: kind.chars().take(1000).collect(),
                        non_retryable: *non_retryable,
                        details: Payloads::default(),
                        next_retry_delay: *next_retry_delay,
                    },
                    _ => FailureInfo::Server {
                        non_retryable: false,
                    },
                },
                ..Failure::new(
                    format!("{message} (cut: the failure {problem})"),
                    FailureInfo::Terminated,
                )
            }
        }
    }
}
