//! How a run comes out of its rows.

use std::{collections::BTreeMap, sync::Arc};

use history::{
    Event, EventId, Execution, Namespace, Record, RunId, Timestamp, WorkflowId,
    chain::{self, Hash},
    execution::Corrupt,
    record,
};
use uuid::Uuid;

use super::{Error, commit::OpenRow};

/// A run, folded from its rows.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) workflow_id: WorkflowId,
    pub(crate) execution: Execution,
    /// The whole history, when a workflow task waits for it; else empty.
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) rows: i32,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    /// What has a row in `attempt`, with the attempt that it says has started.
    pub(crate) attempts: BTreeMap<EventId, Option<u32>>,
    /// Whether its id means this run.
    pub(crate) current: bool,
    /// What `open_run` says of it.
    pub(crate) open_row: Option<OpenRow>,
    /// Whether it has a row in `outbox`.
    pub(crate) in_outbox: bool,
}

/// A run to be folded.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
    pub(crate) namespace: i16,
    pub(crate) workflow_id: String,
    pub(crate) current: bool,
    /// From `open_run`; `None` when it has no row there.
    pub(crate) parked: Option<bool>,
    pub(crate) due_at: Option<i64>,
    pub(crate) in_outbox: bool,
}

/// A row of history, as it is read, or one of `attempt`, which come after those.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) run_id: Uuid,
    /// `None` in `attempt`.
    pub(crate) seq: Option<i32>,
    /// Of the stored form.
    pub(crate) version: i16,
    /// The records, or the note.
    pub(crate) records: String,
    /// `None` in `attempt`.
    pub(crate) hash: Option<Vec<u8>>,
}

/// A run that is being folded, one row after the other. A row that is not what was committed is an error: what would be written
/// after it would be chained to it, as if it had been.
pub(crate) struct Folding {
    namespace: Namespace,
    run_id: RunId,
    /// Nothing before its first record.
    execution: Option<Execution>,
    events: Vec<Arc<Event>>,
    rows: i32,
    bytes: u64,
    hash: Hash,
    attempts: BTreeMap<EventId, Option<u32>>,
    /// What is wrong with the first row that is no good; those behind it are not looked at.
    corrupt: Option<Error>,
}

impl Folding {
    pub(crate) fn new(namespace: &Namespace, header: &Header) -> Self {
        Self {
            namespace: namespace.clone(),
            run_id: RunId(header.run_id),
            execution: None,
            events: Vec::new(),
            rows: 0,
            bytes: 0,
            hash: chain::GENESIS,
            attempts: BTreeMap::new(),
            corrupt: None,
        }
    }

    /// Folds the next row.
    pub(crate) fn row(&mut self, row: &Row) {
        if self.corrupt.is_some() {
            return;
        }
        let applied = match (row.seq, &row.hash) {
            (Some(seq), Some(hash)) => self.apply(row, seq, hash),
            _ => self.apply_attempts(row).map_err(|problem| Error::Corrupt {
                table: "attempt",
                row: format!("run {}", self.run_id),
                problem,
            }),
        };
        self.corrupt = applied.err();
    }

    /// Puts things where a row of `attempt` says that they stand.
    fn apply_attempts(&mut self, row: &Row) -> Result<(), String> {
        let record =
            record::read_one(row.version, &row.records).map_err(|error| error.to_string())?;
        #[cfg(test)]
        let record = crate::sim::planted::forget(record);
        self.fold(&record).map_err(|error| error.to_string())?;
        if let Record::Note(noted) = record
            && let Some(about) = noted.note.about()
        {
            self.attempts.insert(about, noted.note.started_attempt());
        }
        Ok(())
    }

    fn apply(&mut self, row: &Row, seq: i32, hash: &[u8]) -> Result<(), Error> {
        if seq != self.rows {
            return Err(self.altered(self.rows, format!("missing; row {seq} follows")));
        }
        let chained = chain::Row {
            version: row.version,
            namespace: self.namespace.as_str(),
            run_id: row.run_id,
            seq,
            first_event_id: self.next_event_id().0,
            records: &row.records,
        };
        self.hash = chain::hash(&self.hash, chained);
        if self.hash.as_slice() != hash {
            let problem = "not what was committed: its hash is another";
            return Err(self.altered(seq, problem.to_owned()));
        }
        // What was committed, then; a newer binary may have done it.
        let records = record::read(row.version, &row.records).map_err(|error| Error::Corrupt {
            table: "history",
            row: self.row_name(seq),
            problem: error.to_string(),
        })?;
        for record in &records {
            if let Err(error) = self.fold(record) {
                return Err(self.altered(seq, error.to_string()));
            }
            self.events.extend(record.event().cloned());
        }
        self.rows += 1;
        self.bytes += row.records.len() as u64;
        Ok(())
    }

    fn fold(&mut self, record: &Record) -> Result<(), Corrupt> {
        Execution::fold(&mut self.execution, &self.namespace, self.run_id, record)
    }

    fn next_event_id(&self) -> EventId {
        let folded = self.execution.as_ref();
        folded.map_or(EventId::FIRST, Execution::next_event_id)
    }

    /// Returns the run, or what is wrong with it.
    pub(crate) fn end(mut self, header: &Header) -> Result<Loaded, Error> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        let Some(execution) = self.execution.take() else {
            return Err(self.altered(0, "missing: the run has no history".to_owned()));
        };
        if execution.workflow_task().is_none() {
            self.events = Vec::new();
        }
        Ok(Loaded {
            workflow_id: WorkflowId::known(&header.workflow_id),
            execution,
            events: self.events,
            rows: self.rows,
            hash: self.hash,
            bytes: self.bytes,
            attempts: self.attempts,
            current: header.current,
            open_row: header.parked.map(|parked| {
                if parked {
                    OpenRow::Parked(header.due_at.map(Timestamp))
                } else {
                    OpenRow::Hot
                }
            }),
            in_outbox: header.in_outbox,
        })
    }

    fn altered(&self, seq: i32, problem: String) -> Error {
        Error::Altered {
            row: self.row_name(seq),
            problem,
        }
    }

    fn row_name(&self, seq: i32) -> String {
        format!("run {} row {seq}", self.run_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first row of a run, with fields that a newer binary may have added.
    fn started() -> String {
        let request = history::decide::StartWorkflow {
            workflow_id: WorkflowId::known("w"),
            workflow_type: history::WorkflowType::known("type"),
            task_queue: history::TaskQueue::known("q"),
            input: history::Payloads::default(),
            workflow_execution_timeout: history::Millis::ZERO,
            workflow_run_timeout: history::Millis::ZERO,
            workflow_task_timeout: history::Millis::ZERO,
            request_id: history::RequestId::known("r"),
            identity: None,
            reuse_policy: history::event::WorkflowIdReusePolicy::default(),
            conflict_policy: history::event::WorkflowIdConflictPolicy::default(),
            retry_policy: None,
            cron_schedule: String::new(),
            start_delay: history::Millis::ZERO,
            memo: BTreeMap::new(),
            search_attributes: BTreeMap::new(),
            header: BTreeMap::new(),
            parent: None,
            continued: None,
        };
        let run_id = RunId(Uuid::from_u128(1));
        let namespace = Namespace::known("default");
        let started = history::decide::start(&namespace, run_id, &request, Timestamp(5)).unwrap();
        serde_json::to_string(&started.records)
            .unwrap()
            .replace(r#""t":5,"#, r#""t":5,"by":"a newer one","#)
            .replace(
                r#"{"workflow_type""#,
                r#"{"newer":[{"$p":1}],"workflow_type""#,
            )
    }

    /// Folds one row of this form, hashed as such.
    fn fold_one(version: i16, records: &str) -> Result<Loaded, Error> {
        let namespace = Namespace::known("default");
        let header = Header {
            shard: 0,
            run_id: Uuid::from_u128(1),
            namespace: 1,
            workflow_id: "w".to_owned(),
            current: true,
            parked: None,
            due_at: None,
            in_outbox: false,
        };
        let hash = chain::hash(
            &chain::GENESIS,
            chain::Row {
                version,
                namespace: namespace.as_str(),
                run_id: header.run_id,
                seq: 0,
                first_event_id: 1,
                records,
            },
        );
        let mut folding = Folding::new(&namespace, &header);
        folding.row(&Row {
            run_id: header.run_id,
            seq: Some(0),
            version,
            records: records.to_owned(),
            hash: Some(hash.to_vec()),
        });
        folding.end(&header)
    }

    #[test]
    fn a_row_with_a_field_of_a_newer_binary_is_folded() {
        let loaded = fold_one(chain::VERSION, &started()).unwrap();
        assert_eq!(loaded.execution.workflow_type().as_str(), "type");
        assert_eq!(loaded.rows, 1);
    }

    #[test]
    fn a_row_of_another_form_is_named_as_such_and_not_as_tampered_with() {
        let error = fold_one(chain::VERSION + 1, &started()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("stored form 2"), "{said}");
        assert!(!said.contains("not what was committed"), "{said}");
    }
}
