//! A batch as the arrays that `commit_batch` takes.

use std::collections::BTreeMap;

use foldhash::HashMap;
use history::{EventId, RunId, Timestamp};
use uuid::Uuid;

use super::{
    column::{Column, Sparse},
    item::{CloseRow, Facts, HistoryRow, Item, OpenChange, OpenRow, StartRow},
};
use crate::store::RunRef;

/// Items as the columns of their groups.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) claims: Claims<'a>,
    pub(super) starts: Starts<'a>,
    pub(super) history: Rows<'a>,
    pub(super) closes: Closes,
    pub(super) facts: FactsOf<'a>,
    pub(super) open: Open,
    pub(super) gone: Runs,
    pub(super) outbox: Outbox,
    pub(super) attempts: Attempts<'a>,
    pub(super) over: Over,
    pub(super) delivered: Runs,
}

#[derive(Default)]
pub(super) struct Claims<'a> {
    pub(super) shard: Column<i16>,
    pub(super) namespace: Column<i16>,
    pub(super) workflow_id: Column<&'a str>,
    pub(super) run_id: Column<Uuid>,
    pub(super) previous: Column<Option<Uuid>>,
}

#[derive(Default)]
pub(super) struct Starts<'a> {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) namespace: Column<i16>,
    pub(super) workflow_id: Column<&'a str>,
    pub(super) workflow_type: Column<&'a str>,
    pub(super) task_queue: Column<&'a str>,
    pub(super) first_run_id: Column<Uuid>,
    pub(super) parent_run_id: Sparse<Uuid>,
    pub(super) parent_workflow_id: Sparse<&'a str>,
    pub(super) request_id: Column<&'a str>,
    pub(super) started_at: Column<i64>,
    pub(super) claim: Column<Uuid>,
    pub(super) execution_at: Sparse<i64>,
    pub(super) root_run_id: Sparse<Uuid>,
    pub(super) root_workflow_id: Sparse<&'a str>,
    pub(super) memo: Sparse<&'a str>,
    pub(super) search_attributes: Sparse<&'a str>,
}

#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) seq: Column<i32>,
    pub(super) first_event_id: Column<i64>,
    pub(super) records: Column<&'a str>,
    pub(super) hash: Column<&'a [u8]>,
    pub(super) closes: Column<bool>,
    pub(super) changed: Column<bool>,
    pub(super) claim: Column<Option<Uuid>>,
}

#[derive(Default)]
pub(super) struct Closes {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) status: Column<i16>,
    pub(super) closed_at: Column<i64>,
    pub(super) history_length: Column<i64>,
    pub(super) history_bytes: Column<i64>,
}

#[derive(Default)]
pub(super) struct FactsOf<'a> {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) memo: Sparse<&'a str>,
    pub(super) search_attributes: Sparse<&'a str>,
}

#[derive(Default)]
pub(super) struct Open {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) parked: Column<bool>,
    pub(super) due_at: Column<Option<i64>>,
}

#[derive(Default)]
pub(super) struct Outbox {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) claim: Column<Option<Uuid>>,
}

#[derive(Default)]
pub(super) struct Attempts<'a> {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) event_id: Column<i64>,
    pub(super) note: Column<&'a str>,
    pub(super) claim: Column<Option<Uuid>>,
}

#[derive(Default)]
pub(super) struct Over {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
    pub(super) event_id: Column<i64>,
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) shard: Column<i16>,
    pub(super) run_id: Column<Uuid>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(items: &'a [Item], delivered: &[RunRef]) -> Self {
        let mut columns = Self::default();
        // What a start in this batch must win for the other rows of its workflow to be written.
        let mut claims: HashMap<(i16, &str), Uuid> = HashMap::default();
        let mut last = Last::default();
        for item in items {
            let workflow = (item.namespace, item.workflow_id.as_str());
            if let (Some(first), Some(last)) = (item.starts.first(), item.starts.last()) {
                claims.insert(workflow, last.run_id.0);
                columns
                    .claims
                    .push(item, last.run_id.0, first.previous_run_id.map(|id| id.0));
            }
            let claim = claims.get(&workflow).copied();
            columns.push(item, claim);
            last.note(item, claim);
        }
        for (key, attempt) in last.attempts {
            match attempt.note {
                Some(note) => columns.attempts.push(key, attempt, note),
                None => columns.over.push(attempt.shard, key),
            }
        }
        for (run_id, facts) in last.facts {
            columns.facts.push(facts.shard, run_id, facts.facts);
        }
        for (run_id, open) in last.open {
            match open.row {
                Some(OpenRow::Hot) => columns.open.push(open.shard, run_id, false, None),
                Some(OpenRow::Parked(due_at)) => {
                    columns.open.push(open.shard, run_id, true, due_at);
                }
                None => columns.gone.push(open.shard, run_id),
            }
        }
        for run in delivered {
            columns.delivered.push(run.shard, run.run_id);
        }
        columns
    }

    /// Adds the rows of an item of which a batch may have no second one.
    fn push(&mut self, item: &'a Item, claim: Option<Uuid>) {
        for start in &item.starts {
            let claim = claim.unwrap_or(start.run_id.0);
            self.starts.push(item, start, claim);
        }
        for row in &item.rows {
            self.history.push(item, row, claim);
        }
        for close in &item.closes {
            self.closes.push(item.shard, close);
        }
        if let Some(run_id) = item.outbox {
            self.outbox.push(item.shard, run_id, claim);
        }
    }
}

/// What the last item of a batch says of a run, and of an attempt: one statement can't change a row twice.
#[derive(Default)]
struct Last<'a> {
    facts: BTreeMap<RunId, LastFacts<'a>>,
    open: BTreeMap<RunId, LastOpen>,
    attempts: BTreeMap<AttemptKey, LastAttempt<'a>>,
}

struct LastFacts<'a> {
    shard: i16,
    facts: &'a Facts,
}

struct LastOpen {
    shard: i16,
    row: Option<OpenRow>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AttemptKey {
    run_id: RunId,
    event_id: EventId,
}

#[derive(Clone, Copy)]
struct LastAttempt<'a> {
    shard: i16,
    note: Option<&'a str>,
    claim: Option<Uuid>,
}

impl<'a> Last<'a> {
    fn note(&mut self, item: &'a Item, claim: Option<Uuid>) {
        let shard = item.shard;
        for row in &item.facts {
            let facts = &row.facts;
            self.facts.insert(row.run_id, LastFacts { shard, facts });
        }
        if let Some(OpenChange { run_id, row }) = item.open {
            self.open.insert(run_id, LastOpen { shard, row });
        }
        for attempt in &item.attempts {
            let key = AttemptKey {
                run_id: attempt.run_id,
                event_id: attempt.event_id,
            };
            let note = attempt.note.as_deref();
            self.attempts
                .insert(key, LastAttempt { shard, note, claim });
        }
    }
}

impl<'a> Claims<'a> {
    fn push(&mut self, item: &'a Item, run_id: Uuid, previous: Option<Uuid>) {
        self.shard.push(item.shard);
        self.namespace.push(item.namespace);
        self.workflow_id.push(item.workflow_id.as_str());
        self.run_id.push(run_id);
        self.previous.push(previous);
    }
}

impl<'a> Starts<'a> {
    fn push(&mut self, item: &'a Item, start: &'a StartRow, claim: Uuid) {
        self.shard.push(item.shard);
        self.run_id.push(start.run_id.0);
        self.namespace.push(item.namespace);
        self.workflow_id.push(item.workflow_id.as_str());
        self.workflow_type.push(start.workflow_type.as_str());
        self.task_queue.push(start.task_queue.as_str());
        self.first_run_id.push(start.first_run_id.0);
        self.parent_run_id
            .push(start.parent.as_ref().map(|parent| parent.run_id.0));
        self.parent_workflow_id.push(
            start
                .parent
                .as_ref()
                .map(|parent| parent.workflow_id.as_str()),
        );
        self.request_id
            .push(start.request_id.as_ref().map_or("", |id| id.as_str()));
        self.started_at.push(start.started_at.0);
        self.claim.push(claim);
        self.execution_at.push(start.execution_at.map(|at| at.0));
        let root = start.root.as_ref();
        self.root_run_id.push(root.map(|root| root.run_id.0));
        self.root_workflow_id
            .push(root.map(|root| root.workflow_id.as_str()));
        self.memo.push(start.facts.memo.as_deref());
        self.search_attributes
            .push(start.facts.search_attributes.as_deref());
    }
}

impl<'a> Rows<'a> {
    fn push(&mut self, item: &'a Item, row: &'a HistoryRow, claim: Option<Uuid>) {
        let run_id = row.run_id;
        self.closes.push(item.closes(run_id));
        self.changed.push(item.changes_execution(run_id));
        self.shard.push(item.shard);
        self.run_id.push(run_id.0);
        self.seq.push(row.seq);
        self.first_event_id.push(row.first_event_id);
        self.records.push(&row.records);
        self.hash.push(&row.hash);
        self.claim.push(claim);
    }
}

impl Closes {
    fn push(&mut self, shard: i16, close: &CloseRow) {
        self.shard.push(shard);
        self.run_id.push(close.run_id.0);
        self.status.push(close.status);
        self.closed_at.push(close.closed_at.0);
        self.history_length.push(close.history_length);
        self.history_bytes.push(close.history_bytes);
    }
}

impl<'a> FactsOf<'a> {
    fn push(&mut self, shard: i16, run_id: RunId, facts: &'a Facts) {
        self.shard.push(shard);
        self.run_id.push(run_id.0);
        self.memo.push(facts.memo.as_deref());
        self.search_attributes
            .push(facts.search_attributes.as_deref());
    }
}

impl Outbox {
    fn push(&mut self, shard: i16, run_id: RunId, claim: Option<Uuid>) {
        self.shard.push(shard);
        self.run_id.push(run_id.0);
        self.claim.push(claim);
    }
}

impl Open {
    fn push(&mut self, shard: i16, run_id: RunId, parked: bool, due_at: Option<Timestamp>) {
        self.shard.push(shard);
        self.run_id.push(run_id.0);
        self.parked.push(parked);
        self.due_at.push(due_at.map(|at| at.0));
    }
}

impl<'a> Attempts<'a> {
    fn push(&mut self, key: AttemptKey, attempt: LastAttempt<'a>, note: &'a str) {
        self.shard.push(attempt.shard);
        self.run_id.push(key.run_id.0);
        self.event_id.push(key.event_id.0);
        self.note.push(note);
        self.claim.push(attempt.claim);
    }
}

impl Over {
    fn push(&mut self, shard: i16, key: AttemptKey) {
        self.shard.push(shard);
        self.run_id.push(key.run_id.0);
        self.event_id.push(key.event_id.0);
    }
}

impl Runs {
    fn push(&mut self, shard: i16, run_id: RunId) {
        self.shard.push(shard);
        self.run_id.push(run_id.0);
    }
}
