//! One run in the owner's memory: its fold, and what is not yet durable of it.

use std::{collections::VecDeque, sync::Arc};

use history::{
    BuildId, Event, EventId, Execution, Record, RunId, Timestamp, WorkflowId,
    chain::{self, Hash},
    decide::{Effect, StartWorkflow},
    execution::WorkflowTaskState,
    task::UnreadSignals,
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    Answer, Key, Message, Reached, SessionId, StartReply, attempts::Attempts, queues::HandOut,
};
use crate::{
    Closed, Description, Error,
    store::{
        self,
        commit::{CloseRow, HistoryRow, Item, OpenRow, Part, StartRow},
        load::Loaded,
    },
};

/// What is to be done when a row is durable.
#[derive(Debug)]
pub(crate) enum After {
    /// What a decision asked for.
    Effect(Effect),
    /// Hand out an attempt whose start had to be durable first: its only one, or one of an activity that was pending when its
    /// owner was lost, for which there may have been another one that nobody knows of.
    HandOut {
        session: SessionId,
        hand_out: HandOut,
        /// Since when the attempt waited for a worker.
        attempt_scheduled_at: Timestamp,
    },
    /// Answer.
    Answer(Answer),
    /// Answer if this member is still one: nothing was written that would have found it out.
    Confirm(Answer),
}

/// A start that is not durable yet. If its id turns out to be taken, it is decided again.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) request: Box<StartWorkflow>,
    pub(crate) reply: StartReply,
    /// What else came for the id meanwhile: nothing is decided on a run that may turn out not to be.
    pub(crate) behind: Vec<Message>,
}

/// Who waits for what a run comes to.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    pub(crate) closed: Vec<oneshot::Sender<Result<Closed, Error>>>,
    pub(crate) events: Vec<(EventId, oneshot::Sender<Result<Reached, Error>>)>,
}

impl Waiters {
    /// Adds somebody who waits for its end. Whoever has hung up goes when there are twice as many.
    pub(crate) fn wait_closed(&mut self, waiter: oneshot::Sender<Result<Closed, Error>>) {
        if self.closed.len().is_power_of_two() {
            self.closed.retain(|waiter| !waiter.is_closed());
        }
        self.closed.push(waiter);
    }

    /// Adds somebody who waits for events after this one, in the same way.
    pub(crate) fn wait_events(
        &mut self,
        after: EventId,
        waiter: oneshot::Sender<Result<Reached, Error>>,
    ) {
        if self.events.len().is_power_of_two() {
            self.events.retain(|(_, waiter)| !waiter.is_closed());
        }
        self.events.push((after, waiter));
    }

    /// Says whether nobody waits any more.
    pub(crate) fn are_gone(&self) -> bool {
        self.closed.iter().all(oneshot::Sender::is_closed)
            && self.events.iter().all(|(_, waiter)| waiter.is_closed())
    }

    /// Tells them that it will not be heard here.
    pub(crate) fn turn_away(&mut self, error: &dyn Fn() -> Error) {
        // Whoever hung up does not want to know.
        for waiter in self.closed.drain(..) {
            let _ = waiter.send(Err(error()));
        }
        for (_, waiter) in self.events.drain(..) {
            let _ = waiter.send(Err(error()));
        }
    }
}

/// A part of an item on its way to the database.
#[derive(Debug, Clone, Copy)]
struct Flight {
    part: u64,
    /// The last event that is durable with it.
    last: EventId,
    bytes: usize,
}

/// A history can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub problem: String,
}

/// Whether the whole history of a run was read, to be sent to a worker that has not cached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryRead {
    No,
    UnderWay,
    /// It could not be read, and will be again after a while.
    Failed,
    /// It is kept for the worker.
    Done,
}

/// Returns the number before those of the foldings of a member of this epoch. No two members have an epoch in common (`cluster.epoch`
/// grows with each that joins), so a run that is folded again has another number, whoever folds it.
pub(crate) fn incarnations_of(epoch: i64) -> u64 {
    u64::try_from(epoch).unwrap_or(0) << 32
}

/// One run in the owner's memory.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; no two exclude each other"
)]
pub(crate) struct Run {
    pub(crate) key: Key,
    pub(crate) shard: i16,
    pub(crate) execution: Execution,
    /// The number of this folding: what was handed out by an earlier one is refused.
    pub(crate) incarnation: u64,

    /// Events from `tail_from` on, without a gap: what the worker that caches the run has not seen.
    pub(crate) tail: Vec<Arc<Event>>,
    pub(crate) tail_from: EventId,
    /// The stored bytes of the rows that the tail's events came with.
    tail_bytes: usize,
    /// The worker that caches the run.
    pub(crate) affinity: Option<SessionId>,
    /// The worker that has its workflow task.
    pub(crate) task_out: Option<SessionId>,
    /// The signals that its code had not read when it last ran, as far as this folding knows.
    pub(crate) unread_signals: Vec<UnreadSignals>,
    /// Its workflow task waits in a queue.
    pub(crate) in_backlog: bool,
    pub(crate) history_read: HistoryRead,
    /// That it could not be read, when it last was.
    pub(crate) unreadable: Option<Unreadable>,
    /// Until when what is staged waits for the workflow task's commands.
    pub(crate) hold_until: Option<Instant>,

    /// Records that are applied but not on their way to the database.
    staged: Vec<Record>,
    staged_first: EventId,
    /// What is kept of attempts, beside the log.
    pub(crate) attempts: Attempts,
    /// What was scheduled before this event was pending when the run was folded.
    pub(crate) folded_from: EventId,
    /// The code that failed its last workflow task, if that is known.
    pub(crate) failed_build: Option<BuildId>,
    pub(crate) start_row: Option<StartRow>,
    pub(crate) origin: Option<Origin>,
    /// The run that follows, to be written together with this one's close.
    pub(crate) successor: Option<RunId>,
    close_staged: bool,
    next_seq: i32,
    hash: Hash,
    /// The number of its next part of an item.
    next_part: u64,
    /// Parts on their way.
    flying: VecDeque<Flight>,
    flying_bytes: usize,
    durable_event_id: EventId,
    after: VecDeque<(u64, After)>,

    pub(crate) waiters: Waiters,
    pub(crate) describe_waiters: Vec<oneshot::Sender<Result<Description, Error>>>,

    /// When it last delivered what was outstanding.
    pub(crate) round: u64,
    /// Some delivery failed and is to be repeated.
    pub(crate) redeliver: bool,
    /// Since when nothing that it sent was answered, if something has failed since.
    pub(crate) unheard_since: Option<Instant>,
    /// When it is next looked at for deadlines.
    pub(crate) wakes_at: Option<Timestamp>,
    /// What `open_run` says of it when everything on its way is durable; `None` while it has no row.
    pub(crate) open_row: Option<OpenRow>,
    /// That is on its way, without a row of history.
    pub(crate) registering: bool,
    /// What it owes others since it closed and has not been answered.
    pub(crate) debts: Vec<Effect>,
    /// It has a row in `outbox`.
    pub(crate) owes: bool,
    /// The end of its row in `outbox` is on its way.
    pub(crate) settling: bool,
    pub(crate) bytes: u64,
    /// What it counted for in the owner's memory when last looked at.
    pub(crate) memory_bytes: usize,
    pub(crate) touched_at: Instant,
    /// Its place among those that are looked at, the one untouched for longest first.
    pub(crate) looked_at: Instant,
}

impl Run {
    /// Returns a run of which nothing is recorded.
    pub(crate) fn new(key: Key, shard: i16, run_id: RunId, incarnation: u64, now: Instant) -> Self {
        let execution = Execution::new(key.namespace.name.clone(), run_id);
        Self {
            key,
            shard,
            execution,
            incarnation,
            tail: Vec::new(),
            tail_from: EventId::FIRST,
            tail_bytes: 0,
            affinity: None,
            task_out: None,
            unread_signals: Vec::new(),
            in_backlog: false,
            history_read: HistoryRead::No,
            unreadable: None,
            hold_until: None,
            staged: Vec::new(),
            staged_first: EventId::FIRST,
            attempts: Attempts::default(),
            folded_from: EventId::NONE,
            failed_build: None,
            start_row: None,
            origin: None,
            successor: None,
            close_staged: false,
            next_seq: 0,
            hash: chain::GENESIS,
            next_part: 0,
            flying: VecDeque::new(),
            flying_bytes: 0,
            durable_event_id: EventId::NONE,
            after: VecDeque::new(),
            waiters: Waiters::default(),
            describe_waiters: Vec::new(),
            round: incarnation,
            redeliver: false,
            unheard_since: None,
            wakes_at: None,
            open_row: None,
            registering: false,
            debts: Vec::new(),
            owes: false,
            settling: false,
            bytes: 0,
            memory_bytes: 0,
            touched_at: now,
            looked_at: now,
        }
    }

    /// Returns a run that was folded from its rows.
    pub(crate) fn loaded(
        key: Key,
        shard: i16,
        loaded: Loaded,
        incarnation: u64,
        now: Instant,
    ) -> Self {
        let run_id = loaded.execution.run_id();
        let mut run = Self::new(key, shard, run_id, incarnation, now);
        let next = loaded.execution.next_event_id();
        run.tail_from = loaded.events.first().map_or(next, |event| event.id);
        run.tail_bytes = if loaded.events.is_empty() {
            0
        } else {
            bytes_of(loaded.bytes)
        };
        run.tail = loaded.events;
        run.durable_event_id = EventId(next.0 - 1);
        run.staged_first = next;
        run.folded_from = next;
        run.attempts = Attempts::read(loaded.attempts);
        run.close_staged = !loaded.execution.is_open();
        run.execution = loaded.execution;
        run.next_seq = loaded.rows;
        run.hash = loaded.hash;
        run.bytes = loaded.bytes;
        run.open_row = loaded.open_row;
        run.owes = loaded.owes;
        if run.owes {
            // Which of them were paid before is not known.
            run.debts = run.execution.debts().to_vec();
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
    pub(crate) fn stage(&mut self, record: Record) -> Result<(), history::execution::Corrupt> {
        let logged = self.execution.logs(&record);
        let fails_task = ends_workflow_task(&record)
            && self
                .execution
                .workflow_task()
                .is_some_and(WorkflowTaskState::is_started);
        self.execution.apply(&record)?;
        if fails_task {
            // Its worker may not know it yet; whoever gets the next one gets it in full.
            self.task_out = None;
            self.affinity = None;
        }
        // The events of a task beyond the first attempt are recorded when it completes; its worker has seen them.
        if let Some(event) = record.event().filter(|event| event.id >= self.tail_from) {
            self.tail.push(Arc::clone(event));
        }
        self.attempts.follow(&self.execution, &record);
        if logged {
            self.staged.push(record);
        }
        Ok(())
    }

    /// Says whether something is to be written with the next commit.
    pub(crate) fn has_staged(&self) -> bool {
        !self.staged.is_empty() || self.attempts.are_changed()
    }

    /// Says whether everything that is known of the run is in the database.
    pub(crate) fn is_durable(&self) -> bool {
        !self.has_staged() && self.flying.is_empty()
    }

    /// Says whether something is on its way.
    pub(crate) fn is_flying(&self) -> bool {
        !self.flying.is_empty()
    }

    /// Says whether any row of it was ever committed.
    pub(crate) fn was_committed(&self) -> bool {
        self.durable_event_id != EventId::NONE
    }

    /// Returns the last event that may be shown outside.
    pub(crate) fn durable_event_id(&self) -> EventId {
        self.durable_event_id
    }

    /// Does something when all that is applied now is durable; gives it back when it is so already.
    pub(crate) fn when_durable(&mut self, after: After) -> Option<After> {
        let part = if self.has_staged() {
            self.next_part
        } else if let Some(flight) = self.flying.back() {
            flight.part
        } else {
            return Some(after);
        };
        self.after.push_back((part, after));
        None
    }

    /// Does something when what is staged now, or next, is durable.
    pub(crate) fn with_next_part(&mut self, after: After) {
        self.after.push_back((self.next_part, after));
    }

    /// Makes the staged records a row, and returns what is to be committed with it.
    pub(crate) fn flush(&mut self) -> Item {
        let mut item = Item {
            shard: self.shard,
            namespace: self.key.namespace.id,
            workflow_id: self.key.workflow_id.clone(),
            incarnation: self.incarnation,
            parts: Vec::with_capacity(1),
            rows: Vec::with_capacity(1),
            attempts: Vec::new(),
            starts: Vec::new(),
            closes: Vec::new(),
            open: None,
            owes: None,
        };
        item.open = self.next_open_row();
        self.flush_into(&mut item);
        item
    }

    /// Returns what the next commit changes in `open_run`: a run that closes leaves it, one that was parked is hot again.
    fn next_open_row(&mut self) -> Option<(RunId, OpenRow)> {
        let open = match (self.open_row, self.execution.is_open()) {
            (Some(_), false) => {
                self.open_row = None;
                OpenRow::Gone
            }
            (Some(OpenRow::Parked(_)), true) => {
                self.open_row = Some(OpenRow::Hot);
                OpenRow::Hot
            }
            _ => return None,
        };
        Some((self.run_id(), open))
    }

    /// Returns what is to be committed so that `open_run` says this of the run.
    pub(crate) fn register(&mut self, open: OpenRow) -> Item {
        self.open_row = Some(open);
        self.registering = true;
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
            open: Some((self.run_id(), open)),
            owes: None,
        }
    }

    /// Adds what is staged of this run to an item: records as one row, and what is kept of attempts.
    pub(crate) fn flush_into(&mut self, item: &mut Item) {
        let mut bytes = if self.staged.is_empty() {
            0
        } else {
            self.flush_records(item)
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
        let number = self.next_part;
        item.parts.push(Part { run_id, number });
        let last = EventId(self.staged_first.0 - 1);
        self.flying.push_back(Flight {
            part: number,
            last,
            bytes,
        });
        self.flying_bytes += bytes;
        self.next_part += 1;
    }

    /// Returns their bytes.
    fn flush_records(&mut self, item: &mut Item) -> usize {
        // Our own types have no key or value that JSON could refuse.
        let records = serde_json::to_string(&self.staged).unwrap_or_default();
        self.staged.clear();
        let first_event_id = self.staged_first;
        let row = chain::Row {
            version: chain::VERSION,
            namespace: self.key.namespace.name.as_str(),
            run_id: self.run_id().0,
            seq: self.next_seq,
            first_event_id: first_event_id.0,
            records: &records,
        };
        self.hash = chain::hash(&self.hash, row);
        let bytes = records.len();
        self.bytes += bytes as u64;
        self.tail_bytes += bytes;
        item.rows.push(HistoryRow {
            run_id: self.run_id(),
            seq: self.next_seq,
            first_event_id: first_event_id.0,
            records,
            hash: self.hash,
        });
        item.starts.extend(self.start_row.take());
        self.staged_first = self.execution.next_event_id();
        self.next_seq += 1;
        self.hold_until = None;
        if let (false, Some(closed)) = (self.close_staged, self.execution.close_event()) {
            self.close_staged = true;
            item.closes.push(CloseRow {
                run_id: self.run_id(),
                status: i16::try_from(self.execution.status().number()).unwrap_or_default(),
                closed_at: closed.at,
                history_length: closed.id.0,
            });
            if !self.debts.is_empty() {
                self.owes = true;
                item.owes = Some(self.run_id());
            }
        }
        bytes
    }

    /// Takes note that a part is durable, and returns what was to be done then.
    pub(crate) fn committed(&mut self, part: u64) -> Vec<After> {
        while let Some(flight) = self.flying.pop_front_if(|flight| flight.part <= part) {
            self.durable_event_id = flight.last;
            self.flying_bytes -= flight.bytes;
        }
        let mut due = Vec::new();
        while self.after.front().is_some_and(|(at, _)| *at <= part) {
            due.extend(self.after.pop_front().map(|(_, after)| after));
        }
        due
    }

    /// Returns everything that waits for rows which will never be durable.
    pub(crate) fn give_up(&mut self) -> Vec<After> {
        self.after.drain(..).map(|(_, after)| after).collect()
    }

    /// Says whether it may go to another member: nothing is on its way, and nobody waits for what is.
    pub(crate) fn may_leave(&self) -> bool {
        self.is_durable() && self.after.is_empty() && !self.registering && self.origin.is_none()
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
        (event.id <= self.durable_event_id).then(|| Closed {
            run_id: self.run_id(),
            status: self.execution.status(),
            event: Arc::clone(event),
            cancel_reason: self.execution.cancel_reason().map(str::to_owned),
        })
    }

    /// Says whether it may leave memory: nothing is under way, and nothing is handed out.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_durable()
            && self.after.is_empty()
            && self.task_out.is_none()
            && self.history_read != HistoryRead::UnderWay
            && self.debts.is_empty()
            && !self.settling
            && self.describe_waiters.is_empty()
    }

    /// Says whether every event is kept, for a worker that has not cached the run.
    pub(crate) fn has_whole_history(&self) -> bool {
        self.tail_from == EventId::FIRST
    }

    /// Says whether what the worker that caches the run has not seen is kept.
    pub(crate) fn has_what_is_new(&self) -> bool {
        self.tail_from <= self.execution.previous_started_event_id().next()
    }

    /// Says whether its workflow task is started, and with no worker.
    pub(crate) fn is_unposted(&self) -> bool {
        let task = self.execution.workflow_task();
        self.task_out.is_none() && task.is_some_and(WorkflowTaskState::is_started)
    }

    /// Says whether it is closed and nobody needs it any more.
    pub(crate) fn is_over(&self) -> bool {
        !self.execution.is_open() && self.is_at_rest() && self.origin.is_none()
    }

    /// Lets go of the events up to this one: the worker that caches the run has seen them.
    pub(crate) fn trim_tail(&mut self, seen: EventId) {
        self.tail.retain(|event| event.id > seen);
        self.tail_from = seen.next();
        if self.history_read == HistoryRead::Done {
            self.history_read = HistoryRead::No;
        }
        // What has come since is little: while a workflow task is with a worker, what arrives is buffered.
        self.tail_bytes = 0;
    }

    /// Keeps the whole history for a worker; what is given was read of the database, without the tail.
    ///
    /// # Errors
    /// [`store::Error::Corrupt`] when that is less than the database has acknowledged.
    pub(crate) fn complete_tail(
        &mut self,
        mut events: Vec<Arc<Event>>,
    ) -> Result<(), store::Error> {
        // What became durable while it was read is in both.
        let tail_from = self.tail_from;
        events.retain(|event| event.id < tail_from);
        let last = events.last().map_or(EventId::NONE, |event| event.id);
        if last.next() < tail_from {
            return Err(store::Error::Corrupt {
                table: "history",
                row: format!("run {}", self.key.workflow_id),
                problem: format!(
                    "it ends at event {last}, and those before event {tail_from} were acknowledged"
                ),
            });
        }
        events.append(&mut self.tail);
        self.tail = events;
        self.tail_from = EventId::FIRST;
        self.history_read = HistoryRead::Done;
        self.tail_bytes = bytes_of(self.bytes);
        Ok(())
    }

    /// Returns the bytes it takes, about, with what it has on its way to the database and with the worker that caches it. Nothing
    /// is walked: the large part is known from the rows.
    pub(crate) fn size(&self) -> usize {
        /// What an event takes that is kept for the worker: the enum, its strings, the allocator's share.
        const EVENT: usize = 400;
        let execution = self.execution.memory_bytes();
        let tail = (self.tail.len() * EVENT).max(self.tail_bytes);
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
        size_of::<Self>() + kept + cached + self.flying_bytes
    }
}

fn bytes_of(stored: u64) -> usize {
    usize::try_from(stored).unwrap_or(usize::MAX)
}

/// Says whether a record ends the workflow task that a worker has.
fn ends_workflow_task(record: &Record) -> bool {
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
