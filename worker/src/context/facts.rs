//! What workflow code says of its run to those who look for it: search attributes and memos.

use std::collections::BTreeMap;

use history::{Command, Payload};
use serde::Serialize;

use super::{
    names,
    state::{Halt, RunState},
};
use crate::definition::{EncodeError, encode};

/// Asks for a change of the run's facts. Nothing is asked for where there is none; facts that can't be encoded fail the workflow task.
pub(super) fn upsert<K: Into<String>, V: Serialize>(
    state: &RunState,
    what: &str,
    facts: impl IntoIterator<Item = (K, V)>,
    command: impl FnOnce(BTreeMap<String, Payload>) -> Command,
) {
    match encoded(facts) {
        Ok(facts) if facts.is_empty() => {}
        Ok(facts) => state.note(command(facts)),
        Err(error) => state.halt(Halt::Fail(names::misfit(&error, what))),
    }
}

fn encoded<K: Into<String>, V: Serialize>(
    facts: impl IntoIterator<Item = (K, V)>,
) -> Result<BTreeMap<String, Payload>, EncodeError> {
    facts
        .into_iter()
        .map(|(key, value)| Ok((key.into(), encode(&value)?)))
        .collect()
}
