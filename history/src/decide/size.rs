//! What is too large to be recorded, or can't be stored. Each answer is a phrase that follows the name of the thing.

use crate::{
    command::Command,
    event::{Memo, WorkflowExecutionSignaled},
    failure::Failure,
    limits::{
        FAILURE_DEPTH_MAX, PAYLOAD_BYTES_MAX, UNREAD_SIGNALS_BYTES_MAX, WORKFLOW_TASK_BYTES_MAX,
    },
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
    keys_problem(facts.keys()).or_else(|| problem(facts_size(facts)))
}

fn facts_size(facts: &Memo) -> usize {
    facts
        .iter()
        .map(|(key, value)| key.len() + value.size())
        .sum()
}

/// For the commands of one answer, together.
pub(super) fn commands_problem(commands: &[Command]) -> Option<String> {
    let bytes: usize = commands.iter().map(command_size).sum();
    (bytes > WORKFLOW_TASK_BYTES_MAX).then(|| {
        format!(
            "its {} commands carry {bytes} bytes; the most is {WORKFLOW_TASK_BYTES_MAX}: ask for less at once, or pass references to data that is stored elsewhere",
            commands.len()
        )
    })
}

/// For the keys of any map of a user: the stored form has some of its own.
pub(super) fn keys_problem<'a>(mut keys: impl Iterator<Item = &'a String>) -> Option<String> {
    keys.find(|key| is_reserved(key))
        .map(|key| format!("has the key {key}, which is reserved; choose another"))
}

/// Returns the bytes of user data in a command. Its ids and names are short, and there are few commands.
fn command_size(command: &Command) -> usize {
    use Command as C;
    match command {
        C::ScheduleActivityTask(activity) => activity.input.size() + facts_size(&activity.header),
        C::CompleteWorkflowExecution { result } => result.size(),
        C::FailWorkflowExecution { failure } => failure.size(),
        C::CancelWorkflowExecution { details } => details.size(),
        C::RecordMarker {
            details,
            header,
            failure,
            ..
        } => {
            let details = details.iter().map(|(key, value)| key.len() + value.size());
            let failure = failure.as_ref().map_or(0, |failure| failure.size());
            details.sum::<usize>() + facts_size(header) + failure
        }
        C::ContinueAsNewWorkflowExecution(next) => {
            next.input.size()
                + facts_size(&next.header)
                + facts_size(&next.memo)
                + facts_size(&next.search_attributes)
        }
        C::StartChildWorkflowExecution(child) => {
            child.input.size()
                + facts_size(&child.header)
                + facts_size(&child.memo)
                + facts_size(&child.search_attributes)
        }
        C::SignalExternalWorkflowExecution { input, header, .. } => {
            input.size() + facts_size(header)
        }
        C::UpsertWorkflowSearchAttributes { search_attributes } => facts_size(search_attributes),
        C::ModifyWorkflowProperties { upserted_memo } => facts_size(upserted_memo),
        C::ScheduleNexusOperation { input, .. } => input.size(),
        C::RequestCancelExternalWorkflowExecution { reason, .. } => reason.len(),
        C::RequestCancelActivityTask { .. }
        | C::StartTimer { .. }
        | C::CancelTimer { .. }
        | C::ProtocolMessage { .. }
        | C::RequestCancelNexusOperation { .. } => 0,
    }
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
    let bytes: usize = signals
        .iter()
        .map(|signal| signal.input.size() + facts_size(&signal.header))
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
