//! Small things that the futures of workflow code share: ids made of numbers, timeouts, and failures of a task.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use history::{ActivityId, ActivityType, Failure, Millis, RunId, TimerId, Timestamp, WorkflowId};

use crate::error::{application, cause_of};

/// Ids up to this number are made once per thread.
const CACHED: usize = 64;

thread_local! {
    static ACTIVITIES: RefCell<Vec<ActivityId>> = const { RefCell::new(Vec::new()) };
    static UNNAMED: ActivityId = ActivityId::known("");
    static TIMERS: RefCell<Vec<TimerId>> = const { RefCell::new(Vec::new()) };
}

/// Returns no id: the call is named when it is first polled.
pub(super) fn activity_unnamed() -> ActivityId {
    UNNAMED.with(Clone::clone)
}

/// Returns the id of the nth activity of a run.
pub(super) fn activity_id(n: u32) -> ActivityId {
    ACTIVITIES.with_borrow_mut(|cache| numbered(cache, n, ActivityId::known))
}

/// Returns the id of the nth timer of a run.
pub(super) fn timer_id(n: u32) -> TimerId {
    TIMERS.with_borrow_mut(|cache| numbered(cache, n, TimerId::known))
}

fn numbered<T: Clone>(cache: &mut Vec<T>, n: u32, make: impl Fn(String) -> T) -> T {
    let at = n as usize;
    if at >= CACHED {
        return make(n.to_string());
    }
    while cache.len() <= at {
        cache.push(make(cache.len().to_string()));
    }
    cache[at].clone()
}

/// Returns the id of the nth child: the parent's id, the number, and what tells this run from others of the parent.
pub(super) fn child_id(parent: &WorkflowId, n: u32, seed: RunId) -> WorkflowId {
    let (_, low) = seed.0.as_u64_pair();
    let tail = low & 0xFFFF_FFFF;
    WorkflowId::new(format!("{parent}/{n}-{tail:08x}"))
        .unwrap_or_else(|_too_long| WorkflowId::known(format!("{seed}/{n}")))
}

/// Returns a moment as the standard library has it.
pub(super) fn time(at: Timestamp) -> SystemTime {
    let since = Duration::from_micros(at.0.unsigned_abs());
    if at.0 < 0 {
        SystemTime::UNIX_EPOCH - since
    } else {
        SystemTime::UNIX_EPOCH + since
    }
}

/// Returns a timeout; zero for none.
pub(super) fn timeout(duration: Option<Duration>) -> Millis {
    duration.map_or(Millis::ZERO, Millis::from)
}

/// Returns the failure of a task whose code and data don't fit together.
pub(super) fn misfit(error: &(dyn std::error::Error + 'static), what: &str) -> Box<Failure> {
    let mut failure = application(format!("`{what}`: {error}"), "PayloadMismatch".to_owned());
    failure.cause = cause_of(error);
    Box::new(failure)
}

/// Returns the failure of a call that could not be asked for, in the place where its cause would stand.
pub(super) fn refused(
    activity_type: &ActivityType,
    error: &(dyn std::error::Error + 'static),
) -> Failure {
    let mut failure = application(
        format!("activity `{activity_type}` was not scheduled: {error}"),
        "InvalidCall".to_owned(),
    );
    failure.cause = cause_of(error);
    failure
}
