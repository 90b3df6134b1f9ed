//! What is not yet durable of a run: records that are staged, parts of items that are in flight, and what is to be done when they have
//! arrived.

use std::collections::VecDeque;

use history::{
    EventId, EventKind, Record, RunId, Timestamp,
    chain::{self, Hash},
    decide::Effect,
};

use crate::{
    store::commit::{HistoryRow, StartRow},
    words::{Answer, HandOut, SessionId},
};

/// What is to be done when a row is durable.
#[derive(Debug)]
pub(crate) enum After {
    /// What a decision asked for.
    Effect(Effect),
    /// Hand out an attempt whose start had to be durable first: its only one, or one of an activity that was pending when its
    /// run was folded, for which there may have been another one that nobody knows of.
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

/// A part of an item on its way to the database.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    part: u64,
    /// The last event that is durable with it.
    last: EventId,
    bytes: usize,
}

/// The place of a run's history in the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// The event that comes next.
    pub(crate) next: EventId,
    /// How many rows there are.
    pub(crate) rows: i32,
    /// The hash of the last one.
    pub(crate) hash: Hash,
}

/// What is not yet durable of a run.
#[derive(Debug)]
pub(crate) struct Writing {
    /// Records that are applied but not on their way to the database.
    staged: Vec<Record>,
    /// One of them changes the memo or the search attributes.
    facts_changed: bool,
    /// The row that is to be written next: its first event, its number, and the hash of the one before.
    next: Written,
    /// The row of `execution`, to be written with the first row.
    pub(crate) start_row: Option<StartRow>,
    /// The number of its next part of an item.
    next_part: u64,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    durable_event_id: EventId,
    after: VecDeque<(u64, After)>,
}

impl Writing {
    /// Returns what follows what is in the database.
    pub(crate) fn behind(written: Written) -> Self {
        Self {
            staged: Vec::new(),
            facts_changed: false,
            next: written,
            start_row: None,
            next_part: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            durable_event_id: EventId(written.next.0 - 1),
            after: VecDeque::new(),
        }
    }

    /// Stages a record that was applied.
    pub(crate) fn stage(&mut self, record: Record) {
        self.facts_changed |= record.event().is_some_and(|event| {
            matches!(
                event.kind,
                EventKind::UpsertWorkflowSearchAttributes(_)
                    | EventKind::WorkflowPropertiesModified(_)
            )
        });
        self.staged.push(record);
    }

    /// Says whether what is staged changes the memo or the search attributes, once.
    pub(crate) fn take_facts_changed(&mut self) -> bool {
        std::mem::take(&mut self.facts_changed)
    }

    pub(crate) fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Says whether something is on its way.
    pub(crate) fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Returns the bytes of what is on its way.
    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Returns the last event that may be shown outside.
    pub(crate) fn durable_event_id(&self) -> EventId {
        self.durable_event_id
    }

    /// Makes the staged records a row. `next` is the event that comes after them.
    pub(crate) fn row(&mut self, namespace: &str, run_id: RunId, next: EventId) -> HistoryRow {
        // Our own types have no key or value that JSON could refuse.
        let records = serde_json::to_string(&self.staged).unwrap_or_default();
        self.staged.clear();
        let Written {
            next: first,
            rows: seq,
            hash: before,
        } = self.next;
        let row = chain::Row {
            version: chain::VERSION,
            namespace,
            run_id: run_id.0,
            seq,
            first_event_id: first.0,
            records: &records,
        };
        let hash = chain::hash(&before, row);
        self.next = Written {
            next,
            rows: seq + 1,
            hash,
        };
        HistoryRow {
            run_id,
            seq,
            first_event_id: first.0,
            records,
            hash,
        }
    }

    /// Takes note that all that was staged is on its way, and returns the number of the part.
    pub(crate) fn send(&mut self, bytes: usize) -> u64 {
        let part = self.next_part;
        self.in_flight.push_back(InFlight {
            part,
            last: EventId(self.next.next.0 - 1),
            bytes,
        });
        self.in_flight_bytes += bytes;
        self.next_part += 1;
        part
    }

    /// Takes note that a part is durable, and returns what was to be done then.
    pub(crate) fn committed(&mut self, part: u64) -> Vec<After> {
        while let Some(sent) = self.in_flight.pop_front_if(|sent| sent.part <= part) {
            self.durable_event_id = sent.last;
            self.in_flight_bytes -= sent.bytes;
        }
        let mut due = Vec::new();
        while let Some((_, after)) = self.after.pop_front_if(|(at, _)| *at <= part) {
            due.push(after);
        }
        due
    }

    /// Takes back what was to be done and could not be: the run is given up.
    pub(crate) fn put_back(&mut self, afters: impl Iterator<Item = After>) {
        let part = self.next_part;
        self.after.extend(afters.map(|after| (part, after)));
    }

    /// Does something when the last part on its way is durable; gives it back when none is.
    pub(crate) fn when_arrived(&mut self, after: After) -> Option<After> {
        let Some(last) = self.in_flight.back() else {
            return Some(after);
        };
        self.after.push_back((last.part, after));
        None
    }

    /// Does something when what is staged now, or next, is durable.
    pub(crate) fn with_next_part(&mut self, after: After) {
        self.after.push_back((self.next_part, after));
    }

    /// Says whether nothing waits for something to be durable.
    pub(crate) fn is_quiet(&self) -> bool {
        self.after.is_empty()
    }

    /// Returns everything that waits for rows which will never be durable.
    pub(crate) fn give_up(&mut self) -> Vec<After> {
        self.after.drain(..).map(|(_, after)| after).collect()
    }
}
