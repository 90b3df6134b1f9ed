//! The failure behind an error that came out of a history.

use std::{error::Error as StdError, fmt};

use history::Failure;
use serde::{Deserialize, Serialize};

use super::failures::{application, write_chain};

/// What a history says of a failed call: the activity or child, and the causes. The `source` of every error of a call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recorded(pub(crate) Box<Failure>);

impl Recorded {
    /// Returns the failure.
    pub fn failure(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&self.0, f)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&self.0, f)
    }
}

impl StdError for Recorded {}

/// Returns the recorded failure that an error only passes on: one of this crate's own, or one that is `transparent` to it.
pub(super) fn stands_for<E: StdError + 'static>(error: &E) -> Option<&Recorded> {
    recorded_by(error)
}

fn recorded_by<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Recorded> {
    if let Some(recorded) = error.downcast_ref::<Recorded>() {
        return Some(recorded);
    }
    let recorded = error.source()?.downcast_ref::<Recorded>()?;
    (error.to_string() == recorded.to_string()).then_some(recorded)
}

/// Returns the causes of an error as failures, down to what was recorded.
pub(crate) fn cause_of(error: &(dyn StdError + 'static)) -> Option<Box<Failure>> {
    const DEPTH_MAX: usize = 32;
    cause_within(error, DEPTH_MAX)
}

fn cause_within(error: &(dyn StdError + 'static), depth: usize) -> Option<Box<Failure>> {
    let source = error.source()?;
    if let Some(recorded) = recorded_by(source) {
        return Some(recorded.0.clone());
    }
    let mut failure = application(source.to_string(), String::new());
    if depth > 0 {
        failure.cause = cause_within(source, depth - 1);
    }
    Some(Box::new(failure))
}
