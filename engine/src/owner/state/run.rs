//! One run in the owner's memory: its fold, and what is known of it beside that.

use history::{
    BuildId, EventId, Execution, Record, RunId, Timestamp, WorkflowId,
    chain::{self},
    execution::Corrupt,
    task::UnreadSignals,
};
use tokio::time::Instant;

use crate::{
    owner::state::{
        attempts::Attempts,
        deliveries::{Deliveries, Outbox},
        facts,
        origin::Origin,
        tail::Tail,
        task_place::TaskPlace,
        waiters::Waiters,
        writing::{After, Writing, Written},
    },
    store::{
        commit::{CloseRow, FactsRow, Item, OpenChange, OpenRow, Part, StartRow},
        load::Loaded,
    },
    words::{Closed, Key, SessionId, Unreadable},
};

/// The run that follows one that closes. Both are written together.
#[derive(Debug, Default)]
pub(crate) enum Successor {
    /// There is none.
    #[default]
    None,
    /// It is written with the close. Nobody has heard of it.
    Staged(Box<Run>),
    /// It is on its way or durable, and comes into memory as a run of its own.
    Sent(RunId),
}

impl Successor {
    /// Returns the run that follows if it is to be written now.
    pub(crate) fn send(&mut self) -> Option<Box<Run>> {
        match std::mem::take(self) {
            Self::Staged(next) => {
                *self = Self::Sent(next.run_id());
                Some(next)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Returns the number before those of the foldings of a member of this epoch. No two members have an epoch in common (`cluster.epoch`
/// grows with each that joins), so a run that is folded again has another number, whoever folds it.
pub(crate) fn incarnations_of(epoch: i64) -> u64 {
    u64::try_from(epoch).unwrap_or(0) << 32
}

/// One run in the owner's memory.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) key: Key,
    pub(crate) shard: i16,
    pub(crate) execution: Execution,
    /// The number of this folding: what was handed out by an earlier one is refused.
    pub(crate) incarnation: u64,

    pub(crate) tail: Tail,
    /// The worker that caches the run.
    pub(crate) affinity: Option<SessionId>,
    pub(crate) task: TaskPlace,
    /// That its history could not be read, when it last was to be.
    pub(crate) unreadable: Option<Unreadable>,
    /// The signals that its code had not read when it last ran, as far as this folding knows.
    pub(crate) unread_signals: Vec<UnreadSignals>,
    /// The code that failed its last workflow task, if that is known.
    pub(crate) failed_build: Option<BuildId>,

    pub(crate) writing: Writing,
    /// What is kept of attempts, beside the log.
    pub(crate) attempts: Attempts,
    /// What was scheduled before this event was pending when the run was folded.
    pub(crate) folded_from: EventId,
    pub(crate) origin: Option<Origin>,
    pub(crate) successor: Successor,
    pub(crate) deliveries: Deliveries,
    pub(crate) waiters: Waiters,

    /// What `open_run` says of it when everything on its way is durable; `None` while it has no row.
    pub(crate) open_row: Option<OpenRow>,
    /// A change of that is on its way by itself, without a row of history.
    pub(crate) registering: bool,
    /// When it is next looked at for deadlines.
    pub(crate) wakes_at: Option<Timestamp>,
    /// The stored bytes of its history.
    pub(crate) bytes: u64,
    /// What it counted for in the owner's memory when last looked at.
    pub(crate) memory_bytes: usize,
    pub(crate) touched_at: Instant,
    /// Its place among those that are looked at, the one untouched for longest first.
    pub(crate) looked_at: Instant,
}

impl Run {
    /// Returns a run that begins with this record, which is staged.
    ///
    /// # Errors
    /// When no run begins with it.
    pub(crate) fn begin(
        key: Key,
        run_id: RunId,
        incarnation: u64,
        first: Record,
        now: Instant,
    ) -> Result<Self, Corrupt> {
        let execution = Execution::begin(key.namespace.name.clone(), run_id, &first)?;
        let nothing = Written {
            next: EventId::FIRST,
            rows: 0,
            hash: chain::GENESIS,
        };
        let mut run = Self::new(execution, key, incarnation, nothing, now);
        if let Some(event) = first.event() {
            run.tail.push(event);
        }
        run.writing.stage(first);
        Ok(run)
    }

    fn new(
        execution: Execution,
        key: Key,
        incarnation: u64,
        written: Written,
        now: Instant,
    ) -> Self {
        Self {
            execution,
            shard: key.shard(),
            key,
            incarnation,
            tail: Tail::new(),
            affinity: None,
            task: TaskPlace::Idle,
            unreadable: None,
            unread_signals: Vec::new(),
            failed_build: None,
            writing: Writing::behind(written),
            attempts: Attempts::default(),
            folded_from: EventId::NONE,
            origin: None,
            successor: Successor::None,
            deliveries: Deliveries::new(incarnation),
            waiters: Waiters::default(),
            open_row: None,
            registering: false,
            wakes_at: None,
            bytes: 0,
            memory_bytes: 0,
            touched_at: now,
            looked_at: now,
        }
    }

    /// Returns a run that was folded from its rows.
    pub(crate) fn loaded(key: Key, loaded: Loaded, incarnation: u64, now: Instant) -> Self {
        let next = loaded.execution.next_event_id();
        let written = Written {
            next,
            rows: loaded.rows,
            hash: loaded.hash,
        };
        let mut run = Self::new(loaded.execution, key, incarnation, written, now);
        run.tail = Tail::of(loaded.events, next, loaded.bytes);
        run.folded_from = next;
        run.attempts = Attempts::read(loaded.attempts);
        run.bytes = loaded.bytes;
        run.open_row = loaded.open_row;
        if loaded.in_outbox {
            run.deliveries.outbox = Outbox::Kept;
            // Which of them were delivered before is not known.
            run.deliveries.undelivered = run.execution.undelivered().to_vec();
        }
        run
    }

    pub(crate) fn run_id(&self) -> RunId {
        self.execution.run_id()
    }

    pub(crate) fn workflow_id(&self) -> &WorkflowId {
        &self.key.workflow_id
    }

    /// Applies a record and stages it for the next row, or what is to be kept of it beside the log.
    pub(crate) fn stage(&mut self, record: Record) -> Result<(), Corrupt> {
        let logged = self.execution.logs(&record);
        let fails_task = ends_workflow_task(&record)
            && self
                .execution
                .workflow_task()
                .is_some_and(history::execution::WorkflowTaskState::is_started);
        self.execution.apply(&record)?;
        if fails_task {
            // Its worker may not know it yet; whoever gets the next one gets it in full.
            self.task.take_back();
            self.affinity = None;
        }
        if let Some(event) = record.event() {
            self.tail.push(event);
        }
        self.attempts.follow(&self.execution, &record);
        if logged {
            self.writing.stage(record);
        }
        Ok(())
    }

    /// Says whether something is to be written with the next commit.
    pub(crate) fn has_staged(&self) -> bool {
        self.writing.has_staged() || self.attempts.are_changed()
    }

    /// Says whether everything that is known of the run is in the database.
    pub(crate) fn is_durable(&self) -> bool {
        !self.has_staged() && !self.writing.is_in_flight()
    }

    /// Says whether any row of it was ever committed.
    pub(crate) fn was_committed(&self) -> bool {
        self.durable_event_id() != EventId::NONE
    }

    /// Returns the last event that may be shown outside.
    pub(crate) fn durable_event_id(&self) -> EventId {
        self.writing.durable_event_id()
    }

    /// Does something when all that is applied now is durable; gives it back when it is so already.
    pub(crate) fn when_durable(&mut self, after: After) -> Option<After> {
        if self.has_staged() {
            self.writing.with_next_part(after);
            return None;
        }
        self.writing.when_arrived(after)
    }

    /// Makes what is staged an item.
    pub(crate) fn flush(&mut self) -> Item {
        let mut item = self.item();
        item.open = self.next_open_row();
        self.flush_into(&mut item);
        item
    }

    fn item(&self) -> Item {
        Item {
            shard: self.shard,
            namespace: self.key.namespace.id,
            workflow_id: self.key.workflow_id.clone(),
            incarnation: self.incarnation,
            parts: Vec::new(),
            rows: Vec::new(),
            attempts: Vec::new(),
            starts: Vec::new(),
            closes: Vec::new(),
            facts: Vec::new(),
            open: None,
            outbox: None,
        }
    }

    /// Returns what the next commit changes in `open_run`: a run that closes leaves it, one that was parked is hot again.
    fn next_open_row(&mut self) -> Option<OpenChange> {
        let row = match (self.open_row?, self.execution.is_open()) {
            (OpenRow::Hot | OpenRow::Parked(_), false) => None,
            (OpenRow::Parked(_), true) => Some(OpenRow::Hot),
            (OpenRow::Hot, true) => return None,
        };
        self.open_row = row;
        let run_id = self.run_id();
        Some(OpenChange { run_id, row })
    }

    /// Returns what is to be committed so that `open_run` says this of the run.
    pub(crate) fn register(&mut self, row: OpenRow) -> Item {
        self.open_row = Some(row);
        self.registering = true;
        let mut item = self.item();
        item.open = Some(OpenChange {
            run_id: self.run_id(),
            row: Some(row),
        });
        item
    }

    /// Adds what is staged of this run to an item: records as one row, and what is kept of attempts.
    pub(crate) fn flush_into(&mut self, item: &mut Item) {
        let mut bytes = if self.writing.has_staged() {
            self.flush_records(item)
        } else {
            0
        };
        let run_id = self.run_id();
        let before = item.attempts.len();
        self.attempts
            .flush(run_id, &self.execution, &mut item.attempts);
        let notes = item.attempts[before..].iter();
        bytes += notes
            .filter_map(|row| row.note.as_ref())
            .map(String::len)
            .sum::<usize>();
        let number = self.writing.send(bytes);
        item.parts.push(Part { run_id, number });
    }

    /// Returns their bytes.
    fn flush_records(&mut self, item: &mut Item) -> usize {
        let (run_id, next) = (self.run_id(), self.execution.next_event_id());
        let row = self
            .writing
            .row(self.key.namespace.name.as_str(), run_id, next);
        let (bytes, first) = (row.records.len(), row.first_event_id);
        self.bytes += bytes as u64;
        self.tail.weigh(bytes);
        item.rows.push(row);
        let facts_changed = self.writing.take_facts_changed();
        match self.writing.start_row.take() {
            Some(start) => item.starts.push(StartRow {
                facts: facts::at_start(&self.execution),
                ..start
            }),
            None if facts_changed => item.facts.push(FactsRow {
                run_id,
                facts: facts::of(&self.execution),
            }),
            None => {}
        }
        self.task.linger_no_more();
        if let Some(closed) = self.execution.close_event()
            && closed.id.0 >= first
        {
            item.closes.push(CloseRow {
                run_id,
                status: i16::try_from(self.execution.status().number()).unwrap_or_default(),
                closed_at: closed.at,
                history_length: closed.id.0,
                history_bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            });
            if !self.deliveries.undelivered.is_empty() {
                self.deliveries.outbox = Outbox::Kept;
                item.outbox = Some(run_id);
            }
        }
        bytes
    }

    /// Says whether it may go to another member: nothing is on its way, and nobody waits for what is.
    pub(crate) fn may_leave(&self) -> bool {
        self.is_durable() && self.writing.is_quiet() && !self.registering && self.origin.is_none()
    }

    /// Says whether its workflow task failed and waits before it is tried again.
    pub(crate) fn waits_for_other_code(&self) -> bool {
        self.execution
            .workflow_task()
            .is_some_and(|task| task.backoff_until().is_some())
    }

    /// Returns how the run ended, once that is durable.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let event = self.execution.close_event()?;
        (event.id <= self.durable_event_id()).then(|| Closed {
            run_id: self.run_id(),
            status: self.execution.status(),
            event: std::sync::Arc::clone(event),
            cancel_reason: self.execution.cancel_reason().map(str::to_owned),
        })
    }

    /// Says whether it may leave memory: nothing is under way, and nothing is handed out.
    pub(crate) fn is_at_rest(&self) -> bool {
        let task_is_here = match self.task {
            TaskPlace::Idle | TaskPlace::Queued | TaskPlace::Unread => true,
            TaskPlace::Reading | TaskPlace::Out { .. } => false,
        };
        task_is_here
            && self.is_durable()
            && self.writing.is_quiet()
            && self.deliveries.are_over()
            && self.waiters.described.is_empty()
    }

    /// Says whether every event is kept, for a worker that has not cached the run.
    pub(crate) fn has_whole_history(&self) -> bool {
        self.tail.reaches(EventId::FIRST)
    }

    /// Says whether what the worker that caches the run has not seen is kept.
    pub(crate) fn has_what_is_new(&self) -> bool {
        self.tail
            .reaches(self.execution.previous_started_event_id().next())
    }

    /// A history that could not be read may be read again.
    pub(crate) fn may_read_again(&mut self) {
        if self.task == TaskPlace::Unread {
            self.task = TaskPlace::Idle;
        }
    }

    /// Says whether its workflow task is started, and with no worker.
    pub(crate) fn is_unposted(&self) -> bool {
        let task = self.execution.workflow_task();
        !self.task.is_out() && task.is_some_and(history::execution::WorkflowTaskState::is_started)
    }

    /// Says whether it is closed and nobody needs it any more.
    pub(crate) fn is_over(&self) -> bool {
        !self.execution.is_open() && self.is_at_rest() && self.origin.is_none()
    }

    /// Returns the bytes it takes, about, with what it has on its way to the database and with the worker that caches it. Nothing
    /// is walked: the large part is known from the rows.
    pub(crate) fn size(&self) -> usize {
        let execution = self.execution.memory_bytes();
        let tail = self.tail.size();
        // Payloads are shared between both; a whole history has all that the fold keeps.
        let kept = if self.has_whole_history() {
            execution.max(tail)
        } else {
            execution + tail
        };
        // Code that waits holds about what the fold keeps of it: its input, what it waits for.
        let cached = if self.affinity.is_some() {
            execution
        } else {
            0
        };
        size_of::<Self>() + kept + cached + self.writing.in_flight_bytes()
    }
}

/// Says whether a record ends the workflow task that a worker has.
pub(crate) fn ends_workflow_task(record: &Record) -> bool {
    use history::EventKind as K;
    match record {
        Record::Event(event) => matches!(
            event.kind,
            K::WorkflowTaskTimedOut(_) | K::WorkflowTaskFailed(_)
        ),
        Record::Note(noted) => {
            matches!(noted.note, history::Note::WorkflowTaskAttemptFailed { .. })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_no_folding_in_common() {
        for epoch in [1, 2, 1_000_000, i64::from(i32::MAX)] {
            let last = incarnations_of(epoch) + u64::from(u32::MAX);
            assert!(last < incarnations_of(epoch + 1) + 1, "{epoch}");
        }
    }
}
