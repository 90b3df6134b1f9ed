//! The events of a run that are in memory: those that its worker has not seen, or all of them.

use std::sync::Arc;

use history::{Event, EventId, WorkflowId};

use crate::store;

/// Events from `from` on, without a gap: what the worker that caches the run has not seen.
#[derive(Debug)]
pub(crate) struct Tail {
    events: Vec<Arc<Event>>,
    from: EventId,
    /// The stored bytes of the rows that they came with.
    bytes: usize,
    /// It is the whole history, and was read for a worker that has not cached the run.
    was_read: bool,
}

impl Tail {
    /// Returns the tail of a run of which nothing is recorded.
    pub(crate) fn new() -> Self {
        Self::of(Vec::new(), EventId::FIRST, 0)
    }

    /// Returns these events, or none before `next`.
    pub(crate) fn of(events: Vec<Arc<Event>>, next: EventId, stored: u64) -> Self {
        let bytes = if events.is_empty() {
            0
        } else {
            bytes_of(stored)
        };
        Self {
            from: events.first().map_or(next, |event| event.id),
            events,
            bytes,
            was_read: false,
        }
    }

    /// Adds an event, unless its worker has seen it: those of a task beyond the first attempt are recorded when it completes.
    pub(crate) fn push(&mut self, event: &Arc<Event>) {
        if event.id >= self.from {
            self.events.push(Arc::clone(event));
        }
    }

    /// Counts the bytes of a row.
    pub(crate) fn weigh(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Returns the events from this one on.
    pub(crate) fn since(&self, first: EventId) -> Vec<Arc<Event>> {
        let events = self.events.iter().filter(|event| event.id >= first);
        events.cloned().collect()
    }

    /// Says whether every event from this one on is kept.
    pub(crate) fn reaches(&self, first: EventId) -> bool {
        self.from <= first
    }

    /// Says whether it is the whole history, read for a worker.
    pub(crate) fn was_read(&self) -> bool {
        self.was_read
    }

    /// Lets go of the events up to this one: the worker that caches the run has seen them.
    pub(crate) fn trim(&mut self, seen: EventId) {
        self.events.retain(|event| event.id > seen);
        self.from = seen.next();
        self.was_read = false;
        // What has come since is little: while a workflow task is with a worker, what arrives is buffered.
        self.bytes = 0;
    }

    /// Keeps the whole history for a worker; what is given was read of the database, without the tail, of so many stored bytes.
    ///
    /// # Errors
    /// [`store::Error::Corrupt`] when that is less than the database has acknowledged.
    pub(crate) fn complete(
        &mut self,
        mut events: Vec<Arc<Event>>,
        stored: u64,
        of: &WorkflowId,
    ) -> Result<(), store::Error> {
        // What became durable while it was read is in both.
        let from = self.from;
        events.retain(|event| event.id < from);
        let last = events.last().map_or(EventId::NONE, |event| event.id);
        if last.next() < from {
            return Err(store::Error::Corrupt {
                table: "history",
                row: format!("run {of}"),
                problem: format!(
                    "it ends at event {last}, and those before event {from} were acknowledged"
                ),
            });
        }
        events.append(&mut self.events);
        *self = Self {
            events,
            from: EventId::FIRST,
            bytes: bytes_of(stored),
            was_read: true,
        };
        Ok(())
    }

    /// Returns the bytes it takes, about.
    pub(crate) fn size(&self) -> usize {
        /// What an event takes: the enum, its strings, the allocator's share.
        const EVENT: usize = 400;
        (self.events.len() * EVENT).max(self.bytes)
    }
}

fn bytes_of(stored: u64) -> usize {
    usize::try_from(stored).unwrap_or(usize::MAX)
}
