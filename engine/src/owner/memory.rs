//! What stays in memory. Runs that only wait are parked after a while, and earlier when memory is short.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use history::RunId;
use tokio::time::Instant;

use super::Owner;
use crate::{committer::Command, limits::PARK_BATCH, store::commit::Item};

/// How often the runs are looked through for those to park.
const ROUND: Duration = Duration::from_secs(1);

/// What is in memory, and in which order it is looked through.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: usize,
    ring: VecDeque<RunId>,
    next_round: Instant,
    /// Runs that left memory and have a wake in the heap.
    left: HashSet<RunId>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            bytes: 0,
            ring: VecDeque::new(),
            next_round: Instant::now() + ROUND,
            left: HashSet::new(),
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
                && !run.parking
            {
                run.parking = true;
                parked += 1;
                let item = Item {
                    shard: run.shard,
                    namespace: run.key.namespace.id,
                    workflow_id: run.key.workflow_id.clone(),
                    incarnation: run.incarnation,
                    rows: Vec::new(),
                    starts: Vec::new(),
                    closes: Vec::new(),
                    unpark: None,
                    park: Some((run_id, run.execution.next_deadline())),
                    owes: None,
                };
                run.parked_row = true;
                // A committer that has ended takes the owner with it.
                let _ = self.commits.send(Command::Commit(item));
            }
        }
    }

    /// A run's row in `parked` is durable: it leaves memory, unless something has happened to it since.
    pub(super) fn parked(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.parking = false;
        if !(run.parked_row && run.execution.is_waiting() && run.is_at_rest()) {
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
