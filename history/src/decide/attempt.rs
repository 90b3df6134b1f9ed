//! How an attempt of an activity ends: another one follows, or the activity has ended.

use crate::{
    decide::{Decision, draft::Draft, size::failure_problem},
    effect::Effect,
    event::{ActivityTaskFailed, ActivityTaskStarted, ActivityTaskTimedOut, EventKind},
    execution::{ActivityState, AttemptState, Execution},
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    ids::{EventId, Identity},
    payload::Payloads,
    record::Note,
    retry::Next,
    time::Timestamp,
};

/// Says what the passing of a timeout leads to. The worker is told, for it may still be at it.
pub(super) fn timed_out(
    exec: &Execution,
    activity: &ActivityState,
    timeout_type: TimeoutType,
    now: Timestamp,
) -> Decision {
    let failure = Failure::timed_out(timeout_type, activity.heartbeat_details.clone());
    let mut decision = timeout(exec, activity, failure, now);
    if activity.is_started() {
        decision.effects.push(Effect::cancel_activity(activity));
    }
    decision
}

/// Ends an attempt whose worker is gone: what a heartbeat timeout would do later.
pub(super) fn lost(exec: &Execution, activity: &ActivityState, now: Timestamp) -> Decision {
    let failure = Failure::worker_lost(activity.heartbeat_details.clone());
    timeout(exec, activity, failure, now)
}

fn timeout(
    exec: &Execution,
    activity: &ActivityState,
    failure: Failure,
    now: Timestamp,
) -> Decision {
    let retry_state = match next(exec, activity, &failure, now) {
        Next::RetryAt(at) => return retried(exec, activity, &failure, None, at, now),
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
    let last = activity.last_failure.as_ref();
    failure.cause = last.map(|last| Box::new(last.failure.clone()));
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

pub(super) fn failed(
    exec: &Execution,
    activity: &ActivityState,
    failure: Failure,
    identity: Option<Identity>,
    now: Timestamp,
) -> Decision {
    match next(exec, activity, &failure, now) {
        Next::RetryAt(at) => retried(exec, activity, &failure, identity, at, now),
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
    failure: &Failure,
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
        failure: Box::new(failure.kept()),
        next_attempt_at,
    });
    draft.finish()
}

/// Writes the start of the last attempt with its end.
pub(super) fn ended(
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
        last_failure: activity
            .last_failure
            .as_ref()
            .map(|last| last.failure.clone()),
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
pub(super) fn bounded(failure: &Failure) -> Failure {
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
