//! One thing that is wrong with a stored history.

use std::fmt;

use crate::store::RunRef;

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
    /// `execution` names another workflow, or another type, than the history.
    Execution,
    /// A checkpoint is missing, altered, or signed by nobody who is trusted.
    Checkpoint,
    /// The sealed log is not what was signed.
    Seal,
    /// What is said of a deletion is not what was sealed, or was never sealed.
    Tombstone,
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
            Self::Execution => "EXECUTION_CHANGED",
            Self::Checkpoint => "CHECKPOINT_BROKEN",
            Self::Seal => "SEAL_BROKEN",
            Self::Tombstone => "TOMBSTONE_BROKEN",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The run and its shard; none if it is about the sealed log.
    pub run: Option<RunRef>,
    /// The row in the run, if it is about one.
    pub seq: Option<i32>,
    /// What kind of thing it is.
    pub problem: Problem,
    /// A sentence for people.
    pub sentence: String,
}

impl Finding {
    /// Returns one about the sealed log.
    pub(super) fn of_log(problem: Problem, sentence: String) -> Self {
        Self {
            run: None,
            seq: None,
            problem,
            sentence,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem.code())?;
        if let Some(RunRef { shard, run_id }) = self.run {
            write!(f, " shard {shard} run {run_id}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " row {seq}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}
