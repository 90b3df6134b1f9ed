//! What is in memory, and in which order it is looked through.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use foldhash::HashMap;
use history::RunId;
use tokio::time::Instant;

use crate::owner::state::waiters::Waiters;

/// How often the runs are looked through for those to park, when the last round left nothing for the next.
pub(crate) const ROUND: Duration = Duration::from_secs(1);

/// What is in memory, and in which order it is looked through.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) bytes: usize,
    /// The runs in memory, the one that nothing has happened to for longest first; a stale place costs a look.
    pub(crate) round: BinaryHeap<Reverse<(Instant, RunId)>>,
    pub(crate) last_round: Instant,
    pub(crate) next_round: Instant,
    /// When a little may be read again while memory is short.
    pub(crate) next_little: Instant,
    /// Who waits for runs that are not in memory: a long poll costs its own bytes, not the run's.
    waiting: HashMap<RunId, Waiting>,
    /// Runs that may be open without a row in `open_run`. Looked at from the oldest on, and let go only there.
    pub(crate) young: BTreeSet<RunId>,
}

/// Who waits for a run that is not in memory.
#[derive(Debug)]
pub(crate) struct Waiting {
    shard: i16,
    waiters: Waiters,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            bytes: 0,
            round: BinaryHeap::new(),
            last_round: now,
            next_round: now + ROUND,
            next_little: now,
            waiting: HashMap::default(),
            young: BTreeSet::new(),
        }
    }

    pub(crate) fn next_round(&self) -> Instant {
        self.next_round
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Keeps those who wait for a run that leaves.
    pub(crate) fn keep_waiters(&mut self, run_id: RunId, shard: i16, waiters: Waiters) {
        if waiters.are_gone() {
            return;
        }
        // Whoever has hung up goes when there are twice as many.
        if self.waiting.len().is_power_of_two() {
            self.waiting
                .retain(|_, waiting| !waiting.waiters.are_gone());
        }
        self.waiting.insert(run_id, Waiting { shard, waiters });
    }

    /// Returns those who have waited for a run that is back.
    pub(crate) fn waiters(&mut self, run_id: RunId) -> Option<Waiters> {
        self.waiting.remove(&run_id).map(|waiting| waiting.waiters)
    }

    /// Returns those who wait for runs of other shards, and forgets them.
    pub(crate) fn keep(&mut self, is_here: impl Fn(i16) -> bool) -> Vec<Waiters> {
        let gone = self
            .waiting
            .extract_if(|_, waiting| !is_here(waiting.shard));
        gone.map(|(_, waiting)| waiting.waiters).collect()
    }
}
