//! The check of one run, row by row.

use std::cmp::Ordering;

use history::{
    EventKind, Record, Status, Timestamp,
    chain::{self, GENESIS, Hash},
    event::WorkflowExecutionStarted,
    record,
};

use super::finding::{Finding, Problem};
use crate::store::audit::{Key, Row};

/// A run of which rows are being read.
pub(super) struct Run {
    key: Key,
    rows: u64,
    events: u64,
    /// The number that the next row should have.
    next_seq: i32,
    /// The event id that comes next; none after a row that could not be read.
    next_event_id: Option<i64>,
    /// What the next row follows; none when that row is missing.
    previous: Option<Hash>,
    /// How far the rows' numbers lie below those they were committed with, because one was taken out or put in.
    shift: i32,
    history_length: Option<i64>,
    is_closed: bool,
    findings: Vec<Finding>,
    wrong: Vec<i32>,
}

/// What is known when all rows of a run have been read.
pub(super) struct Done {
    pub(super) rows: u64,
    pub(super) events: u64,
    pub(super) findings: Vec<Finding>,
    /// The rows whose hash is not that of their content at their place.
    pub(super) wrong: Vec<i32>,
}

impl Run {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            rows: 0,
            events: 0,
            next_seq: 0,
            next_event_id: Some(1),
            previous: Some(GENESIS),
            shift: 0,
            history_length: None,
            is_closed: false,
            findings: Vec::new(),
            wrong: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Checks the next row; returns when the last of its records was made.
    pub(super) fn check(&mut self, row: &Row) -> Option<Timestamp> {
        if self.is_empty() && row.namespace.is_none() {
            self.find(
                None,
                Problem::WithoutExecution,
                "the run has a history, but is not in execution".to_owned(),
            );
        }
        self.rows += 1;
        self.history_length = row.history_length;
        self.check_seq(row);
        self.check_hash(row);
        self.check_records(row)
    }

    /// Ends the check.
    pub(super) fn done(mut self) -> Done {
        if let (Some(length), Some(next)) = (self.history_length, self.next_event_id)
            && next - 1 != length
        {
            let sentence = format!(
                "the run closed with {length} events, and its history has {}",
                next - 1
            );
            self.find(None, Problem::Removed, sentence);
        }
        Done {
            rows: self.rows,
            events: self.events,
            findings: self.findings,
            wrong: self.wrong,
        }
    }

    fn check_seq(&mut self, row: &Row) {
        if row.seq > self.next_seq {
            let sentence = match row.seq - self.next_seq {
                1 => "the row is missing".to_owned(),
                _ => format!("this row and those up to {} are missing", row.seq - 1),
            };
            self.find(Some(self.next_seq), Problem::Removed, sentence);
            self.previous = None;
            self.next_event_id = None;
        } else if row.seq < self.next_seq {
            self.find(
                Some(row.seq),
                Problem::Inserted,
                "rows are numbered from 0".to_owned(),
            );
        }
        self.next_seq = row.seq.saturating_add(1);
    }

    /// Checks that the row's hash is that of its content after the row before it.
    fn check_hash(&mut self, row: &Row) {
        let stored: Option<Hash> = row.hash.as_slice().try_into().ok();
        let previous = std::mem::replace(&mut self.previous, stored);
        // Nothing can be said of a row after one that is missing, nor without the namespace, which is under the hash.
        let (Some(previous), Some(namespace)) = (previous, &row.namespace) else {
            return;
        };
        let shift = [self.shift, self.shift - 1, self.shift + 1]
            .into_iter()
            .find(|shift| {
                stored
                    == Some(hash_at(
                        row,
                        namespace,
                        row.seq.saturating_add(*shift),
                        &previous,
                    ))
            });
        match shift {
            Some(shift) => self.shift = shift,
            None => self.wrong.push(row.seq),
        }
    }

    /// Checks that the row can be read and that its events follow those before it; returns when the last of its records was made.
    fn check_records(&mut self, row: &Row) -> Option<Timestamp> {
        let records = match record::read(row.version, &row.records) {
            Ok(records) => records,
            Err(error) => {
                self.find(
                    Some(row.seq),
                    Problem::Unreadable,
                    format!("the row can't be read: {error}"),
                );
                self.next_event_id = None;
                return None;
            }
        };
        self.check_first(row);
        self.check_execution(row, &records);
        let mut next = row.first_event_id;
        for event in records.iter().filter_map(Record::event) {
            self.events += 1;
            if event.id.0 != next {
                let sentence = format!("event {} stands where event {next} comes next", event.id);
                self.find(Some(row.seq), Problem::EventIds, sentence);
                next = event.id.0;
            }
            next = next.saturating_add(1);
        }
        self.next_event_id = Some(next);
        self.check_close(row, &records);
        records.iter().map(Record::at).max()
    }

    /// Checks that nothing follows the event that closes the run.
    fn check_close(&mut self, row: &Row, records: &[Record]) {
        let close = records.iter().position(closes);
        let follows = self.is_closed || close.is_some_and(|close| close + 1 < records.len());
        if follows {
            let sentence = "the row has what follows the event that closes the run".to_owned();
            self.find(Some(row.seq), Problem::Inserted, sentence);
        }
        self.is_closed |= close.is_some();
    }

    /// Checks that `execution` names the workflow that the first event does: nothing else says under a hash whose history this is.
    fn check_execution(&mut self, row: &Row, records: &[Record]) {
        let Some(started) = records.first().and_then(started) else {
            return;
        };
        let (Some(workflow_id), Some(workflow_type)) = (&row.workflow_id, &row.workflow_type)
        else {
            return;
        };
        let known = (started.workflow_id.as_str(), started.workflow_type.as_str());
        if known != (workflow_id.as_str(), workflow_type.as_str()) && !known.0.is_empty() {
            let sentence = format!(
                "execution names workflow {workflow_id} of type {workflow_type}, and the history workflow {} of type {}",
                known.0, known.1
            );
            self.find(Some(row.seq), Problem::Execution, sentence);
        }
    }

    /// Checks that the row begins with the event that comes next.
    fn check_first(&mut self, row: &Row) {
        let first = row.first_event_id;
        let expected = self.next_event_id.unwrap_or(first);
        match first.cmp(&expected) {
            Ordering::Equal => {}
            Ordering::Greater => {
                let last = first - 1;
                let sentence = format!(
                    "the row begins with event {first}; events {expected} to {last} are missing"
                );
                self.find(Some(row.seq), Problem::Removed, sentence);
            }
            Ordering::Less => {
                let sentence =
                    format!("the row begins with event {first}, where event {expected} comes next");
                self.find(Some(row.seq), Problem::EventIds, sentence);
            }
        }
    }

    fn find(&mut self, seq: Option<i32>, problem: Problem, sentence: String) {
        self.findings.push(Finding {
            run: Some(self.key.run_ref()),
            seq,
            problem,
            sentence,
        });
    }
}

/// Returns the hash that a row's content has as row `seq` after the row with the hash `previous`.
pub(super) fn hash_at(row: &Row, namespace: &str, seq: i32, previous: &Hash) -> Hash {
    chain::hash(
        previous,
        chain::Row {
            version: row.version,
            namespace,
            run_id: row.run_id,
            seq,
            first_event_id: row.first_event_id,
            records: &row.records,
        },
    )
}

/// Says whether a record closes its run.
pub(super) fn closes(record: &Record) -> bool {
    let event = record.event();
    event.is_some_and(|event| Status::closed_by(&event.kind).is_some())
}

/// Returns what a run began with, if this record says so.
pub(super) fn started(record: &Record) -> Option<&WorkflowExecutionStarted> {
    match &record.event()?.kind {
        EventKind::WorkflowExecutionStarted(started) => Some(started),
        _ => None,
    }
}
