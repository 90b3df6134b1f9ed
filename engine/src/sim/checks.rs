//! What must be so after every commit, looked at with other eyes than the engine's own.

use std::collections::{BTreeMap, BTreeSet};

use history::{
    Event, EventId, EventKind, Execution, Millis, Note, Record, RunId, Timestamp, WorkflowId,
    chain::{self, GENESIS, Hash, VERSION},
};

use super::store::ns;
use crate::store::commit::{HistoryRow, Item};

/// What must not be, and is.
pub(super) type Violation = String;

/// What is known of a run from its rows alone.
struct Seen {
    execution: Execution,
    hash: Hash,
    next: EventId,
    last_at: Timestamp,
    closed: bool,
    /// Timers: when they may fire.
    timers: BTreeMap<EventId, Timestamp>,
    /// Activities, children: pending ones.
    pending: BTreeSet<EventId>,
    /// Activities of which one attempt is allowed, and whether it was noted.
    once: BTreeMap<EventId, bool>,
    task_started: bool,
    signals: BTreeSet<String>,
}

/// Everything that was ever committed, and the first thing that was wrong with it.
#[derive(Default)]
pub(super) struct Checks {
    runs: BTreeMap<RunId, Seen>,
    violation: Option<Violation>,
    pub(super) commits: u64,
    pub(super) events: u64,
    /// A digest of all that was committed, in order: the same seed gives the same one.
    pub(super) digest: u64,
}

/// Returns the records of a row.
pub(super) fn parse(records: &str) -> Vec<Record> {
    serde_json::from_str(records).unwrap_or_default()
}

macro_rules! ensure {
    ($holds:expr, $($format:tt)+) => {
        if !$holds {
            return Err(format!($($format)+));
        }
    };
}

impl Checks {
    /// Takes note of the first violation.
    pub(super) fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// A run starts: the run of that id before it must be closed, or close in the same item.
    pub(super) fn open_runs(
        &self,
        workflow_id: &WorkflowId,
        before: Option<RunId>,
        item: &Item,
    ) -> Result<(), Violation> {
        let Some(before) = before else { return Ok(()) };
        let closed = self.runs.get(&before).is_some_and(|run| run.closed)
            || item.closes.iter().any(|close| close.run_id == before);
        ensure!(
            closed,
            "{workflow_id} has a second open run beside {before}"
        );
        Ok(())
    }

    /// A run is parked: until its next deadline, and no longer.
    pub(super) fn parked(&self, run_id: RunId, due: Option<Timestamp>) -> Result<(), Violation> {
        let next = self
            .runs
            .get(&run_id)
            .and_then(|run| run.execution.next_deadline());
        ensure!(
            next == due,
            "{run_id} is parked until {due:?}, and its next deadline is {next:?}"
        );
        Ok(())
    }

    /// Returns whether an attempt may run: its scheduling is durable, and with one attempt its start.
    pub(super) fn may_run(&self, run_id: RunId, scheduled: EventId) -> Result<(), Violation> {
        let run = self.runs.get(&run_id);
        ensure!(
            run.is_some_and(|run| scheduled < run.next),
            "{run_id}: activity {scheduled} was handed out before its scheduling was durable"
        );
        ensure!(
            run.is_none_or(|run| run.once.get(&scheduled) != Some(&false)),
            "{run_id}: the only attempt of {scheduled} was handed out before its start was durable"
        );
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        row: &HistoryRow,
        rows: usize,
        now: Timestamp,
    ) -> Result<(), Violation> {
        let run_id = row.run_id;
        let run = self.runs.entry(run_id).or_insert_with(|| Seen {
            execution: Execution::new(ns().name, run_id),
            hash: GENESIS,
            next: EventId::FIRST,
            last_at: Timestamp(0),
            closed: false,
            timers: BTreeMap::new(),
            pending: BTreeSet::new(),
            once: BTreeMap::new(),
            task_started: false,
            signals: BTreeSet::new(),
        });
        ensure!(
            usize::try_from(row.seq) == Ok(rows),
            "{run_id}: row {} follows {rows} rows",
            row.seq
        );
        ensure!(!run.closed, "{run_id}: row {} follows the close", row.seq);
        ensure!(
            row.first_event_id == run.next.0,
            "{run_id}: row {} begins with {}, not {}",
            row.seq,
            row.first_event_id,
            run.next
        );
        let hash = chain::hash(
            &run.hash,
            chain::Row {
                version: VERSION,
                namespace: ns().name.as_str(),
                run_id: run_id.0,
                seq: row.seq,
                first_event_id: row.first_event_id,
                records: &row.records,
            },
        );
        ensure!(
            hash == row.hash,
            "{run_id}: row {} is not chained to the row before",
            row.seq
        );
        run.hash = hash;
        let records: Vec<Record> =
            serde_json::from_str(&row.records).map_err(|error| format!("{run_id}: {error}"))?;
        for record in &records {
            run.execution
                .apply(record)
                .map_err(|error| format!("{run_id}: {error}"))?;
            match record {
                Record::Event(event) => {
                    run.event(event, now)
                        .map_err(|problem| format!("{run_id}: {problem}"))?;
                    self.events += 1;
                }
                Record::Note(noted) => run.note(&noted.note),
            }
        }
        self.commits += 1;
        for byte in row.records.bytes().chain(row.seq.to_be_bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, note: &Note) {
        if let Note::ActivityAttemptStarted {
            scheduled_event_id, ..
        } = note
            && let Some(noted) = self.once.get_mut(scheduled_event_id)
        {
            *noted = true;
        }
    }

    fn event(&mut self, event: &Event, now: Timestamp) -> Result<(), Violation> {
        use EventKind as K;
        let (id, name) = (event.id, event.kind.name());
        ensure!(id == self.next, "{name} is event {id}, not {}", self.next);
        ensure!(!self.closed, "{name} follows the close");
        ensure!(
            event.at >= self.last_at,
            "{name} {id} is earlier than the event before it"
        );
        ensure!(
            event.at <= now,
            "{name} {id} lies in the future of the database"
        );
        self.next = id.next();
        self.last_at = event.at;
        match &event.kind {
            K::WorkflowTaskStarted(_) => {
                ensure!(
                    !self.task_started,
                    "{id}: a second workflow task is in flight"
                );
                self.task_started = true;
            }
            K::WorkflowTaskCompleted(_) | K::WorkflowTaskFailed(_) | K::WorkflowTaskTimedOut(_) => {
                self.task_started = false;
            }
            K::ActivityTaskScheduled(a) => {
                self.pending.insert(id);
                if a.retry_policy.maximum_attempts == 1 {
                    self.once.insert(id, false);
                }
            }
            K::ActivityTaskCompleted(a) => self.ends(a.scheduled_event_id, name)?,
            K::ActivityTaskFailed(a) => self.ends(a.scheduled_event_id, name)?,
            K::ActivityTaskTimedOut(a) => self.ends(a.scheduled_event_id, name)?,
            K::ActivityTaskCanceled(a) => self.ends(a.scheduled_event_id, name)?,
            K::StartChildWorkflowExecutionInitiated(_) => {
                self.pending.insert(id);
            }
            K::ChildWorkflowExecutionCompleted(a) => self.ends(a.initiated_event_id, name)?,
            K::ChildWorkflowExecutionFailed(a) => self.ends(a.initiated_event_id, name)?,
            K::ChildWorkflowExecutionTerminated(a) => self.ends(a.initiated_event_id, name)?,
            K::ChildWorkflowExecutionCanceled(a) => self.ends(a.initiated_event_id, name)?,
            K::TimerStarted(a) => {
                self.timers
                    .insert(id, after(event.at, a.start_to_fire_timeout));
            }
            K::TimerFired(a) => {
                let due = self.timers.remove(&a.started_event_id);
                ensure!(due.is_some(), "timer {} fired twice", a.started_event_id);
                ensure!(
                    due.is_some_and(|due| due <= event.at),
                    "timer {} fired early",
                    a.started_event_id
                );
            }
            K::WorkflowExecutionSignaled(a) => {
                let request = a.request_id.as_ref().map(ToString::to_string);
                let new = request.is_none_or(|request| self.signals.insert(request));
                ensure!(new, "{id}: a signal is recorded twice");
            }
            K::WorkflowExecutionCompleted(_)
            | K::WorkflowExecutionFailed(_)
            | K::WorkflowExecutionTimedOut(_)
            | K::WorkflowExecutionCanceled(_)
            | K::WorkflowExecutionTerminated(_)
            | K::WorkflowExecutionContinuedAsNew(_) => self.closed = true,
            _ => {}
        }
        Ok(())
    }

    fn ends(&mut self, what: EventId, name: &str) -> Result<(), Violation> {
        ensure!(
            self.pending.remove(&what),
            "{name} of {what}, which is not pending"
        );
        Ok(())
    }
}

fn after(at: Timestamp, millis: Millis) -> Timestamp {
    at.after(millis)
}
