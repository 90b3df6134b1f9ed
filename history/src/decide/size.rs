//! What is too large to be recorded, or can't be stored. Each answer is a phrase that follows the name of the thing.

use crate::{
    event::{Memo, WorkflowExecutionSignaled},
    failure::Failure,
    limits::{FAILURE_DEPTH_MAX, PAYLOAD_BYTES_MAX, UNREAD_SIGNALS_BYTES_MAX},
    payload::{Payloads, is_reserved},
};

fn problem(bytes: usize) -> Option<String> {
    (bytes > PAYLOAD_BYTES_MAX)
        .then(|| format!("has {bytes} bytes; the most is {PAYLOAD_BYTES_MAX}"))
}

pub(super) fn payload_problem(payloads: &Payloads) -> Option<String> {
    problem(payloads.size())
}

/// For memos, search attributes, headers.
pub(super) fn facts_problem(facts: &Memo) -> Option<String> {
    keys_problem(facts.keys()).or_else(|| {
        problem(
            facts
                .iter()
                .map(|(key, value)| key.len() + value.size())
                .sum(),
        )
    })
}

/// For the keys of any map of a user: the stored form has some of its own.
pub(super) fn keys_problem<'a>(mut keys: impl Iterator<Item = &'a String>) -> Option<String> {
    keys.find(|key| is_reserved(key))
        .map(|key| format!("has the key {key}, which is reserved; choose another"))
}

pub(super) fn failure_problem(failure: &Failure) -> Option<String> {
    let depth = failure.depth();
    if depth > FAILURE_DEPTH_MAX {
        return Some(format!(
            "is {depth} causes deep; the most is {FAILURE_DEPTH_MAX}"
        ));
    }
    problem(failure.size())
}

/// For the signals that go over to the next run.
pub(super) fn signals_problem(signals: &[WorkflowExecutionSignaled]) -> Option<String> {
    let header = |signal: &WorkflowExecutionSignaled| -> usize {
        let facts = signal.header.iter();
        facts.map(|(key, value)| key.len() + value.size()).sum()
    };
    let bytes: usize = signals
        .iter()
        .map(|signal| signal.input.size() + header(signal))
        .sum();
    (bytes > UNREAD_SIGNALS_BYTES_MAX).then(|| {
        format!(
            "have {bytes} bytes; the most is {UNREAD_SIGNALS_BYTES_MAX}; read some before continuing as new"
        )
    })
}

/// For reasons and causes in words.
pub(super) fn text_problem(text: &str) -> Option<String> {
    problem(text.len())
}
