//! The error of a record that can't be.

use super::run::Execution;
use crate::{
    ids::{EventId, RunId},
    record::{Note, Record},
};

/// A record that can't follow what is recorded: the log was damaged, or the engine erred.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run_id}: {record} can't follow {state}: {problem}")]
pub struct Corrupt {
    /// The run.
    pub run_id: RunId,
    /// The record: its name, and its event id if it has one.
    pub record: String,
    /// The state of the run before it.
    pub state: String,
    /// What is wrong with the pair.
    pub problem: &'static str,
}

impl Corrupt {
    pub(super) fn new(execution: &Execution, record: &Record, problem: &'static str) -> Self {
        let record = match record {
            Record::Event(event) => format!("{} {}", event.id, event.kind.name()),
            Record::Note(noted) => match &noted.note {
                Note::Buffered { event } => format!("Buffered {}", event.name()),
                note => note.name().to_owned(),
            },
        };
        Self {
            run_id: execution.run_id,
            record,
            state: describe(execution),
            problem,
        }
    }
}

/// Says in a few words where a run stands.
fn describe(execution: &Execution) -> String {
    if execution.started.is_none() {
        return "nothing".to_owned();
    }
    let last = EventId(execution.next_event_id.0 - 1);
    if execution.close_event.is_some() {
        return format!("{last} ({})", execution.status.as_str());
    }
    match &execution.workflow_task {
        None => format!("{last} (no workflow task)"),
        Some(task) => format!(
            "{last} ({}workflow task {} attempt {} {})",
            if task.is_transient() {
                "transient "
            } else {
                ""
            },
            task.scheduled_event_id,
            task.attempt,
            if task.is_started() {
                "started"
            } else {
                "scheduled"
            },
        ),
    }
}
