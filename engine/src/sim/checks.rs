//! What must be so after every commit, looked at with other eyes than the engine's own.

use std::collections::{BTreeMap, BTreeSet};

use history::{
    Event, EventId, EventKind, Execution, FailureInfo, Millis, Note, Payloads, Record, RunId,
    Timestamp, WorkflowId,
    chain::{self, GENESIS, Hash, VERSION},
    task::ActivityTask,
};

use super::{
    namespace::ns,
    program::{self, Activity},
};
use crate::store::commit::{AttemptRow, HistoryRow, Item};

/// What must not be, and is.
pub(super) type Violation = String;

/// What is known of a run from its rows alone.
#[derive(Clone)]
struct Seen {
    execution: Option<Execution>,
    /// What stands beside the log.
    attempts: BTreeMap<EventId, Record>,
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
#[derive(Default, Clone)]
pub(super) struct Checks {
    runs: BTreeMap<RunId, Seen>,
    /// When each attempt of an activity was handed out.
    handed_out: BTreeMap<(RunId, EventId, u32), Vec<Timestamp>>,
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
        let next = self.runs.get(&run_id).and_then(|run| {
            let mut execution = run.execution.clone()?;
            for record in run.attempts.values() {
                execution.apply(record).ok()?;
            }
            execution.next_deadline()
        });
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

    /// What is kept beside a log counts on, and knows what the last attempt said of how far it was.
    pub(super) fn attempt(&mut self, row: &AttemptRow) -> Result<(), Violation> {
        let run_id = row.run_id;
        let Some(run) = self.runs.get_mut(&run_id) else {
            return Err(format!("{run_id}: attempts of a run that is not there"));
        };
        let Some(text) = &row.note else {
            run.attempts.remove(&row.event_id);
            return Ok(());
        };
        let record: Record =
            serde_json::from_str(text).map_err(|error| format!("{run_id}: {error}"))?;
        let before = run.attempts.get(&row.event_id).and_then(attempt_of);
        let now = attempt_of(&record);
        ensure!(
            now.is_some() && before <= now,
            "{run_id}: attempts of {} are counted anew: {now:?} follows {before:?}",
            row.event_id
        );
        if let Some(failed) = failed_as_planned(&record) {
            let planned: Activity = program::read(run.scheduled_input(failed.scheduled)?);
            let attempt = (run_id, failed.scheduled, failed.attempt);
            // One that was read again meanwhile may have failed before it said anything to this owner.
            let handed_out_once = failed.started_at.is_some_and(|at| {
                let handed_out = self.handed_out.get(&attempt);
                handed_out.is_some_and(|times| **times == [at])
            });
            ensure!(
                !planned.beats
                    || !handed_out_once
                    || *failed.said == program::json(&failed.attempt),
                "{run_id}: what attempt {} of {} said in a heartbeat is not kept",
                failed.attempt,
                failed.scheduled
            );
        }
        ensure!(!run.closed, "{run_id}: attempts of a run that is closed");
        run.attempts.insert(row.event_id, record);
        Ok(())
    }

    /// An attempt was handed out: with what the one before it said of how far it was.
    pub(super) fn handed_out(&mut self, task: &ActivityTask) -> Result<(), Violation> {
        let (run_id, scheduled, attempt) = (
            task.token.run_id,
            task.token.scheduled_event_id,
            task.token.attempt,
        );
        let times = self.handed_out.entry((run_id, scheduled, attempt));
        times.or_default().push(task.started_at);
        let run = self.runs.get(&run_id);
        let kept = run.and_then(|run| run.attempts.get(&scheduled));
        // One that is late may run when others have.
        let before = kept
            .and_then(failed_as_planned)
            .filter(|before| before.attempt + 1 == attempt);
        ensure!(
            before.is_none_or(|before| *before.said == task.heartbeat_details),
            "{run_id}: attempt {attempt} of {scheduled} was not told what the one before it had said"
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
            execution: None,
            attempts: BTreeMap::new(),
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
            Execution::fold(&mut run.execution, &ns().name, run_id, record)
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

/// Returns the attempt that what is kept is at.
fn attempt_of(record: &Record) -> Option<u32> {
    match record {
        Record::Note(noted) => match &noted.note {
            Note::ActivityAttempts { attempt, .. } | Note::WorkflowTaskAttempts { attempt, .. } => {
                Some(*attempt)
            }
            _ => None,
        },
        Record::Event(_) => None,
    }
}

/// An attempt that came to its planned failure, and what is kept of its heartbeat.
struct FailedAsPlanned<'a> {
    scheduled: EventId,
    attempt: u32,
    started_at: Option<Timestamp>,
    said: &'a Payloads,
}

/// Returns the last attempt of an activity that waits for the next one, if it came to its planned failure.
fn failed_as_planned(record: &Record) -> Option<FailedAsPlanned<'_>> {
    let Record::Note(noted) = record else {
        return None;
    };
    let Note::ActivityAttempts {
        scheduled_event_id,
        attempt,
        last_failure: Some(last),
        heartbeat_details,
        started: None,
        ..
    } = &noted.note
    else {
        return None;
    };
    let planned =
        matches!(&last.failure.info, FailureInfo::Application { kind, .. } if kind == "Planned");
    (planned && last.attempt + 1 == *attempt).then_some(FailedAsPlanned {
        scheduled: *scheduled_event_id,
        attempt: last.attempt,
        started_at: last.started_at,
        said: heartbeat_details,
    })
}

impl Seen {
    /// Returns what a pending activity was scheduled with.
    fn scheduled_input(&self, scheduled: EventId) -> Result<&Payloads, Violation> {
        let run = self.execution.as_ref();
        let activity = run.and_then(|run| run.activity(scheduled));
        let activity =
            activity.ok_or_else(|| format!("attempts of {scheduled}, which is not pending"))?;
        Ok(&activity.attributes().input)
    }

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
