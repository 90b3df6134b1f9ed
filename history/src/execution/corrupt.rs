//! The error of a record that can't be.

use crate::{
    ids::RunId,
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
    pub(super) fn new(
        run_id: RunId,
        state: String,
        record: &Record,
        problem: &'static str,
    ) -> Self {
        let record = match record {
            Record::Event(event) => format!("{} {}", event.id, event.kind.name()),
            Record::Note(noted) => match &noted.note {
                Note::Buffered { event } => format!("Buffered {}", event.name()),
                note => note.name().to_owned(),
            },
        };
        Self {
            run_id,
            record,
            state,
            problem,
        }
    }
}
