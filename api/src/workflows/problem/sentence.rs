//! One thing that keeps a run from going on, and what sentences of it share.

use history::{Timestamp, rfc3339::Utc};
use serde::{Deserialize, Serialize};

use crate::{duration::Human, limits::REASON_CHARS_MAX};

/// Something that keeps a run from going on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What does not go on: `workflow task`, a task queue, a signal or an activity by its name.
    pub(crate) about: String,
    /// Why, without what changes from one attempt to the next.
    pub(crate) reason: String,
    /// All of it in a sentence: since when, which attempt, when next, and why.
    pub(crate) message: String,
}

impl Problem {
    /// Says whether it is of the same thing for the same reason.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.about, &self.reason) == (&other.about, &other.reason)
    }
}

/// Returns a time of day in UTC, with its day when that is another one.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (Utc(at).to_string(), Utc(now).to_string());
    let (day, of_day) = at.split_once('T').unwrap_or(("", &at));
    let second = of_day.split(['.', 'Z']).next().unwrap_or(of_day);
    if now.starts_with(day) {
        format!("{second}Z")
    } else {
        format!("{day} {second}Z")
    }
}

/// Returns the time between two moments in whole seconds, a second at least.
pub(super) fn seconds(later: Timestamp, earlier: Timestamp) -> Human {
    let seconds = later.since(earlier).as_secs_f64().round().max(1.0);
    Human(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

pub(super) fn cut(reason: &str) -> String {
    if reason.chars().count() <= REASON_CHARS_MAX {
        return reason.to_owned();
    }
    reason
        .chars()
        .take(REASON_CHARS_MAX - 1)
        .chain(['…'])
        .collect()
}
