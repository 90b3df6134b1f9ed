//! Runs that are not in memory, by when they are due. The deadlines of parked runs are read a while ahead, each once: page by page in
//! their order, so that a million at one moment take no more memory than a page.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use futures::FutureExt as _;
use history::{RunId, Timestamp};

use super::{Message, Owner};
use crate::{
    limits::{PARKED_HORIZON, PARKED_PAGE, READ_AGAIN_AFTER},
    store::load::{Due, Window},
};

/// When a run is due that is not in memory. A stale one costs nothing: it is not awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wake {
    at: Timestamp,
    run_id: RunId,
    shard: i16,
    of_page: bool,
}

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Parked {
    wakes: BinaryHeap<Reverse<Wake>>,
    /// How many of those were read of the database.
    of_pages: usize,
    /// What is to be read, a page of each in turn.
    windows: VecDeque<Window>,
    /// Shards that have come since, of whose runs no deadline is known.
    arrived: Vec<i16>,
    reading: bool,
    /// All deadlines before this moment are known, or stand in a window.
    until: Timestamp,
}

/// The smallest of all keys at this moment.
fn first_at(at: Timestamp) -> (Timestamp, RunId) {
    (at, RunId(uuid::Uuid::nil()))
}

impl Parked {
    /// Takes note that a run is to be read at this moment.
    pub(super) fn wake(&mut self, due: Due) {
        self.push(due, false);
    }

    fn push(&mut self, Due { at, shard, run_id }: Due, of_page: bool) {
        self.of_pages += usize::from(of_page);
        self.wakes.push(Reverse(Wake {
            at,
            run_id,
            shard,
            of_page,
        }));
    }

    /// Returns when the first of them is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.wakes.peek().map(|Reverse(wake)| wake.at)
    }

    /// Says whether any is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next_at().is_some_and(|at| at <= now)
    }

    /// Takes the first of them, if it is due.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Due> {
        let Reverse(wake) = self.wakes.peek()?;
        if wake.at > now {
            return None;
        }
        let Reverse(wake) = self.wakes.pop()?;
        self.of_pages -= usize::from(wake.of_page);
        let Wake {
            at, run_id, shard, ..
        } = wake;
        Some(Due { at, shard, run_id })
    }

    /// Takes note that these shards have come, of whose runs no deadline is known.
    pub(super) fn catch_up(&mut self, shards: &[i16]) {
        self.arrived.extend(shards);
    }

    fn window(&mut self, shards: Arc<[i16]>, from: Timestamp, before: Timestamp) {
        if from < before && !shards.is_empty() {
            self.windows.push_back(Window {
                shards,
                after: first_at(from),
                before,
            });
        }
    }
}

impl Owner {
    /// Sees to it that a run that leaves memory is read when it is due. The deadline of a parked one that is far away is read in time.
    pub(super) fn wake_when_due(&mut self, due: Due, is_parked: bool) {
        if is_parked && due.at >= self.parked.until {
            return;
        }
        if self.memory.leave(due) {
            self.parked.wake(due);
        }
    }

    /// Reads deadlines of parked runs ahead: more when half of what was read has come.
    pub(super) fn read_ahead(&mut self) {
        if self.parked.reading || self.parked.of_pages > PARKED_PAGE / 2 {
            return;
        }
        // Those that come beside each other are read together.
        if !self.shards.comes() {
            let (arrived, until) = (std::mem::take(&mut self.parked.arrived), self.parked.until);
            self.parked.window(arrived.into(), Timestamp(0), until);
            let now = self.now();
            if self.parked.windows.is_empty() && until.since(now) < PARKED_HORIZON / 2 {
                let before = now.after(PARKED_HORIZON.into());
                self.parked.window(self.shards.here(), until, before);
                self.parked.until = before;
            }
        }
        let Some(window) = self.parked.windows.front().cloned() else {
            return;
        };
        self.parked.reading = true;
        let store = Arc::clone(&self.setup.store);
        self.elsewhere.push(
            async move {
                let page = loop {
                    match store.parked_due(&window).await {
                        Ok(page) => break page,
                        Err(error) => {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "the deadlines of parked runs can't be read; trying again"
                            );
                            tokio::time::sleep(READ_AGAIN_AFTER).await;
                        }
                    }
                };
                Message::Parked { page }
            }
            .boxed(),
        );
    }

    /// Takes note of a page of the first window.
    pub(super) fn page_read(&mut self, page: Vec<Due>) {
        self.parked.reading = false;
        let Some(mut window) = self.parked.windows.pop_front() else {
            return;
        };
        if page.len() >= PARKED_PAGE
            && let Some(last) = page.last()
        {
            window.after = (last.at, last.run_id);
            self.parked.windows.push_back(window);
        }
        for due in page {
            let out = self.shards.has(due.shard) && !self.runs.contains_key(&due.run_id);
            if out && self.memory.leave(due) {
                self.parked.push(due, true);
            }
        }
    }
}
