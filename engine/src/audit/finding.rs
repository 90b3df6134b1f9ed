//! One thing that is wrong with a stored history.

use std::fmt;

use history::RunId;

/// What is wrong with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// A row is not what was committed.
    Changed,
    /// A row was put in that was not committed.
    Inserted,
    /// A row stands at another place than it was committed at.
    Reordered,
    /// Rows or events are missing.
    Removed,
    /// A row can't be read as records.
    Unreadable,
    /// The event ids do not follow each other.
    EventIds,
    /// The run is in `execution` and has no history.
    WithoutHistory,
    /// The run has a history and is not in `execution`.
    WithoutExecution,
}

impl Problem {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Changed => "ROW_CHANGED",
            Self::Inserted => "ROW_INSERTED",
            Self::Reordered => "ROW_REORDERED",
            Self::Removed => "ROW_REMOVED",
            Self::Unreadable => "ROW_UNREADABLE",
            Self::EventIds => "EVENT_IDS_BROKEN",
            Self::WithoutHistory => "RUN_WITHOUT_HISTORY",
            Self::WithoutExecution => "RUN_WITHOUT_EXECUTION",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The run's shard.
    pub shard: i16,
    /// The run.
    pub run_id: RunId,
    /// The row in the run, if it is about one.
    pub seq: Option<i32>,
    /// What kind of thing it is.
    pub problem: Problem,
    /// A sentence for people.
    pub sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} shard {} run {}",
            self.problem.code(),
            self.shard,
            self.run_id
        )?;
        if let Some(seq) = self.seq {
            write!(f, " row {seq}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}
