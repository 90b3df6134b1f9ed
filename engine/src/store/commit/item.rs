//! What is committed: the rows of one workflow id, decided together.

use history::{RunId, chain::Hash, ids::WorkflowId};

/// A row of `history`.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    pub run_id: RunId,
    pub seq: i32,
    pub first_event_id: i64,
    pub records: String,
    pub hash: Hash,
}

/// A row of `execution` and what it does to `current_run`.
#[derive(Debug, Clone)]
pub struct StartRow {
    pub run_id: RunId,
    pub workflow_type: history::WorkflowType,
    pub task_queue: history::TaskQueue,
    pub first_run_id: RunId,
    pub parent: Option<history::WorkflowExecution>,
    pub request_id: Option<history::RequestId>,
    /// The run that the id meant before, as the owner knows it.
    pub previous_run_id: Option<RunId>,
    pub started_at: history::Timestamp,
    /// When its code may begin, if that is later.
    pub execution_at: Option<history::Timestamp>,
    /// The first ancestor, if it is a child.
    pub root: Option<history::WorkflowExecution>,
    pub facts: Facts,
}

/// The memo and the search attributes of a run, as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// A JSON object of payloads in their stored form; `None` where there never was one.
    pub memo: Option<String>,
    /// A JSON object of plain values; `None` where there never was one.
    pub search_attributes: Option<String>,
}

impl Facts {
    fn bytes(&self) -> usize {
        let texts = [&self.memo, &self.search_attributes];
        texts.into_iter().flatten().map(String::len).sum()
    }
}

/// What workflow code changes in `execution` while its run is open.
#[derive(Debug, Clone)]
pub struct FactsRow {
    pub run_id: RunId,
    pub facts: Facts,
}

/// What a close changes in `execution`.
#[derive(Debug, Clone)]
pub struct CloseRow {
    pub run_id: RunId,
    pub status: i16,
    pub closed_at: history::Timestamp,
    pub history_length: i64,
    pub history_bytes: i64,
}

/// What `open_run` says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenRow {
    /// It is open, and folded at a takeover: it is in memory, or waits for a worker.
    Hot,
    /// It is open, not in memory, and due then.
    Parked(Option<history::Timestamp>),
}

/// A change of `open_run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenChange {
    pub run_id: RunId,
    /// What it says of the run from now on; `None` when that is closed and has no row.
    pub row: Option<OpenRow>,
}

/// A row of `attempt`, or that it goes.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub run_id: RunId,
    pub event_id: history::EventId,
    /// What it is to say; `None` when the activity or workflow task is over.
    pub note: Option<String>,
}

/// A run's part in an item, by the number that the run gave it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub run_id: RunId,
    pub number: u64,
}

/// What is committed or refused as a whole: all rows of one workflow id.
#[derive(Debug, Clone)]
pub struct Item {
    pub shard: i16,
    pub namespace: i16,
    pub workflow_id: WorkflowId,
    /// The folding that decided this; what belongs to a dropped one is not written.
    pub incarnation: u64,
    /// Whose records and attempts these are.
    pub parts: Vec<Part>,
    pub rows: Vec<HistoryRow>,
    pub attempts: Vec<AttemptRow>,
    pub starts: Vec<StartRow>,
    pub closes: Vec<CloseRow>,
    pub facts: Vec<FactsRow>,
    pub open: Option<OpenChange>,
    /// This run closes and has something to deliver to others: it gets a row in `outbox`.
    pub outbox: Option<RunId>,
}

impl Item {
    /// Returns the bytes it counts for in a batch.
    pub fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|row| row.records.len() + 128);
        let notes = self.attempts.iter().filter_map(|row| row.note.as_ref());
        let facts = self.starts.iter().map(|start| &start.facts);
        let facts = facts.chain(self.facts.iter().map(|row| &row.facts));
        rows.chain(notes.map(|note| note.len() + 128))
            .chain(facts.map(Facts::bytes))
            .sum()
    }

    /// Says whether it closes a run.
    pub(crate) fn closes(&self, run_id: RunId) -> bool {
        self.closes.iter().any(|close| close.run_id == run_id)
    }

    /// Says whether it writes the row that a run has in `execution`.
    pub(crate) fn changes_execution(&self, run_id: RunId) -> bool {
        self.starts.iter().any(|start| start.run_id == run_id)
            || self.closes(run_id)
            || self.facts.iter().any(|row| row.run_id == run_id)
    }
}
