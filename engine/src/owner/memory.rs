//! What stays in memory. Runs that only wait are parked after a while, and earlier when memory is short.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::atomic::Ordering,
    time::Duration,
};

use history::{RunId, Timestamp};
use tokio::time::Instant;

use super::Owner;
use crate::{
    committer::Command,
    limits::{PARK_BATCH, REGISTER_AFTER},
    store::commit::OpenRow,
};

/// How often the runs are looked through for those to park.
const ROUND: Duration = Duration::from_secs(1);

/// By how much the run ids of owners that follow each other may overlap: how exactly each of them samples Postgres's time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// What is in memory, and in which order it is looked through.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: usize,
    ring: VecDeque<RunId>,
    next_round: Instant,
    /// Runs that left memory and have a wake in the heap.
    left: HashSet<RunId>,
    /// Runs that may be open without a row in `open_run`. Looked at from the oldest on, and let go only there.
    young: BTreeSet<RunId>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            bytes: 0,
            ring: VecDeque::new(),
            next_round: Instant::now() + ROUND,
            left: HashSet::new(),
            young: BTreeSet::new(),
        }
    }

    pub(super) fn next_round(&self) -> Instant {
        self.next_round
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Takes note that a run left and is to be read again when it is due.
    pub(super) fn leave(&mut self, run_id: RunId) {
        self.left.insert(run_id);
    }

    /// Says whether a run that is not here left for its deadline, and forgets that.
    pub(super) fn left(&mut self, run_id: RunId) -> bool {
        self.left.remove(&run_id)
    }
}

impl Owner {
    /// Takes a run into the round.
    pub(super) fn remember(&mut self, run_id: RunId) {
        self.memory.left.remove(&run_id);
        self.memory.ring.push_back(run_id);
        self.memory.young.insert(run_id);
    }

    /// Weighs a run again after a change.
    pub(super) fn weigh(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let size = run.size();
        self.memory.bytes = self.memory.bytes - run.memory_bytes.min(self.memory.bytes) + size;
        run.memory_bytes = size;
    }

    /// Parks runs that only wait: those that have waited long, and as many as it takes when memory is short.
    pub(super) fn make_room(&mut self) {
        let now = Instant::now();
        if now < self.memory.next_round {
            return;
        }
        let short = self.memory.bytes > self.setup.memory_bytes;
        self.memory.next_round = now + if short { ROUND / 10 } else { ROUND };
        let mut parked = 0;
        for _ in 0..self.memory.ring.len() {
            let Some(run_id) = self.memory.ring.pop_front() else {
                return;
            };
            let Some(run) = self.runs.get_mut(&run_id) else {
                continue;
            };
            self.memory.ring.push_back(run_id);
            let idle = now.saturating_duration_since(run.touched_at) >= self.setup.park_after;
            if parked < PARK_BATCH
                && (idle || short)
                && run.execution.is_waiting()
                && run.is_at_rest()
                && !run.registering
            {
                parked += 1;
                let item = run.register(OpenRow::Parked(run.execution.next_deadline()));
                // A committer that has ended takes the owner with it.
                let _ = self.commits.send(Command::Commit(item));
            }
        }
        self.register_old();
    }

    /// Gives open runs a row in `open_run` that have been without one for a while, and says from when on they have none.
    fn register_old(&mut self) {
        let now = self.now();
        let old = now.before((self.setup.park_after / REGISTER_AFTER).into());
        let mut since = now;
        let mut done = Vec::new();
        let folded_again: HashSet<RunId> = self
            .loading
            .keys()
            .filter_map(|(_, asked)| *asked)
            .collect();
        for run_id in &self.memory.young {
            let Some(run) = self.runs.get_mut(run_id) else {
                if folded_again.contains(run_id) {
                    since = since.min(started(*run_id));
                } else {
                    done.push(*run_id);
                }
                continue;
            };
            let open = run.closed().is_none();
            if !open || (run.open_row.is_some() && !run.registering) {
                done.push(*run_id);
                continue;
            }
            since = since.min(started(*run_id));
            if started(*run_id) > old {
                break;
            }
            if run.open_row.is_none() && run.was_committed() && run.execution.is_open() {
                let item = run.register(OpenRow::Hot);
                // A committer that has ended takes the owner with it.
                let _ = self.commits.send(Command::Commit(item));
            }
        }
        for run_id in done {
            self.memory.young.remove(&run_id);
        }
        let since = since.before(CLOCKS_DIFFER.into());
        self.setup.open_since.store(since.0, Ordering::Relaxed);
    }

    /// A run's row in `open_run` is durable. A parked run leaves memory, unless something has happened to it since.
    pub(super) fn registered(&mut self, run_id: RunId, open: OpenRow) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.registering = false;
        let parked = matches!(open, OpenRow::Parked(_)) && run.open_row == Some(open);
        if !(parked && run.execution.is_waiting() && run.is_at_rest()) {
            return;
        }
        if run.wakes_at.is_some() {
            self.memory.leave(run_id);
        }
        if let Some(session) = run.affinity {
            // A worker that is gone has forgotten the run anyway.
            self.queues
                .send(session, history::task::ToWorker::Evict(run_id));
        }
        if let Some(run) = self.runs.remove(&run_id) {
            self.memory.remove(run.memory_bytes);
            if self.current.get(&run.key) == Some(&run_id) {
                self.current.remove(&run.key);
            }
        }
    }
}

/// Returns the millisecond in a run's id.
fn started(run_id: RunId) -> Timestamp {
    let millis = i64::try_from(run_id.0.as_u128() >> 80).unwrap_or(0);
    Timestamp(millis * 1000)
}
