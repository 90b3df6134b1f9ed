//! What is too large to be recorded. Each answer is a phrase that follows the name of the thing.

use crate::{
    event::Memo,
    failure::Failure,
    limits::{FAILURE_DEPTH_MAX, PAYLOAD_BYTES_MAX},
    payload::Payloads,
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
    problem(
        facts
            .iter()
            .map(|(key, value)| key.len() + value.size())
            .sum(),
    )
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

/// For reasons and causes in words.
pub(super) fn text_problem(text: &str) -> Option<String> {
    problem(text.len())
}
