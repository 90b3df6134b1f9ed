//! What stays in memory. Runs that only wait are parked after a while, and earlier when memory is short.

use std::{cmp::Reverse, sync::atomic::Ordering, time::Duration};

use foldhash::HashSet;
use history::{RunId, Timestamp, execution::AttemptState};
use tokio::time::Instant;

use crate::{
    committer::Command,
    limits::{MEMORY_BYTES, MEMORY_FULL, PARK_BATCH, READ_BYTES, READ_BYTES_SHORT, REGISTER_AFTER},
    owner::{
        Owner,
        state::{memory::ROUND, queues::Waits, run::Run, task_place::TaskPlace},
    },
    store::{commit::OpenRow, load::Due},
    words::Kind,
};

/// The same while memory is short.
const ROUND_SHORT: Duration = Duration::from_millis(100);

/// The same when it did: a million runs leave memory in little pieces, between which the others get their commits.
const NEXT_PIECE: Duration = Duration::from_millis(10);

/// The most runs looked at in one round.
const LOOKS: usize = 4 * PARK_BATCH;

/// By how much the run ids of owners that follow each other may overlap: how exactly each of them samples Postgres's time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

impl Owner {
    /// Takes a run into the round.
    pub(super) fn remember(&mut self, run_id: RunId, now: Instant) {
        self.parked.forget(run_id);
        self.memory.round.push(Reverse((now, run_id)));
        self.memory.young.insert(run_id);
    }

    /// Says whether the runs take more memory than they may.
    pub(super) fn is_short(&self) -> bool {
        self.memory.bytes > self.setup.memory_bytes
    }

    /// Says whether they take so much that nothing more may be brought.
    fn is_full(&self) -> bool {
        self.memory.bytes
            > self
                .setup
                .memory_bytes
                .saturating_mul(MEMORY_FULL)
                .max(MEMORY_BYTES)
    }

    /// Returns how many stored bytes of runs may be read now. While memory is short that is a little once in a while: what is there is
    /// to leave first, but if it can't, whoever is due must not wait for ever.
    pub(super) fn read_allowance(&mut self) -> Option<u64> {
        if !self.is_short() {
            return Some(READ_BYTES);
        }
        let soon = self.memory.last_round + ROUND_SHORT;
        self.memory.next_round = self.memory.next_round.min(soon);
        let now = Instant::now();
        if now < self.memory.next_little {
            return None;
        }
        self.memory.next_little = now + ROUND_SHORT;
        Some(READ_BYTES_SHORT)
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

    /// Lets runs leave memory that only wait: those that have waited long, and as many as it takes when memory is short. Looks
    /// at those first that nothing has happened to for longest, and at so many only that a round is short.
    pub(super) fn make_room(&mut self) {
        let now = Instant::now();
        if now < self.memory.next_round {
            return;
        }
        #[cfg(test)]
        self.see_that_none_is_over();
        let (mut looks, mut parked) = (0, 0);
        let mut again = Vec::new();
        while looks < LOOKS && parked < PARK_BATCH {
            let short = self.is_short();
            let Some(Reverse((looked_at, run_id))) = self.memory.round.peek().copied() else {
                break;
            };
            let idle = now.saturating_duration_since(looked_at) >= self.setup.park_after;
            if !(idle || short) {
                break;
            }
            looks += 1;
            self.memory.round.pop();
            let Some(run) = self.runs.get_mut(&run_id) else {
                continue;
            };
            if run.looked_at != looked_at {
                // It has been away since, and has another place.
                continue;
            }
            // Touched since, it takes its place by that; else it is looked at after as long a time again.
            let touched = run.touched_at > looked_at;
            run.looked_at = if touched { run.touched_at } else { now };
            again.push(Reverse((run.looked_at, run_id)));
            let idle = now.saturating_duration_since(run.touched_at) >= self.setup.park_after;
            if !(idle || short) || run.registering || !run.is_at_rest() {
                continue;
            }
            if run.execution.is_waiting() {
                parked += 1;
                self.register(run_id, |run| OpenRow::Parked(run.execution.next_deadline()));
            } else if short && !self.leave_for_backlog(run_id) {
                parked += usize::from(self.register_hot(run_id));
            }
        }
        self.memory.round.extend(again);
        self.prune_queues();
        let more = self.register_old() || looks == LOOKS || parked == PARK_BATCH;
        let short = self.is_short();
        self.setup.full.store(self.is_full(), Ordering::Relaxed);
        self.memory.last_round = now;
        self.memory.next_round = now
            + match (more, short) {
                (true, _) => NEXT_PIECE,
                (false, true) => ROUND_SHORT,
                (false, false) => ROUND,
            };
    }

    #[cfg(test)]
    fn see_that_none_is_over(&self) {
        for (run_id, run) in &self.runs {
            if run.is_over() {
                crate::sim::world::violated(format!("{run_id} is closed and stays in memory"));
            }
        }
    }

    /// Lets go of task queues that nobody uses any more, and of the places of tasks that wait no more.
    fn prune_queues(&mut self) {
        /// How many queues are looked at in one round.
        const QUEUES: usize = 16;
        let Self {
            queues,
            runs,
            backlog,
            ..
        } = self;
        let fewer = queues.prune(QUEUES, |task| match task {
            Waits::Workflow(run_id) => match runs.get(&run_id) {
                Some(run) => run.task == TaskPlace::Queued,
                None => backlog.has(run_id),
            },
            Waits::Activity(waiting) => match runs.get(&waiting.run_id) {
                Some(run) => run
                    .execution
                    .activity(waiting.scheduled_event_id)
                    .is_some_and(|activity| {
                        activity.attempt == waiting.attempt
                            && matches!(activity.state, AttemptState::Scheduled { .. })
                    }),
                None => backlog.has(waiting.run_id),
            },
        });
        for queue in fewer {
            for kind in Kind::ALL {
                self.may_demand_less(&queue, kind);
            }
        }
    }

    /// Tells the database what `open_run` is to say of a run.
    fn register(&mut self, run_id: RunId, open: impl FnOnce(&Run) -> OpenRow) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            let open = open(run);
            let item = run.register(open);
            // A committer that has ended takes the owner with it.
            let _ = self.commits.send(Command::Commit(item));
        }
    }

    /// Gives an open run its row in `open_run` if it has none yet.
    fn register_hot(&mut self, run_id: RunId) -> bool {
        let without = self.runs.get(&run_id).is_some_and(|run| {
            run.open_row.is_none() && run.was_committed() && run.execution.is_open()
        });
        if without {
            self.register(run_id, |_| OpenRow::Hot);
        }
        without
    }

    /// Gives some of the open runs a row in `open_run` that have been without one for a while, and notes from when on they have
    /// none. Says whether there are more.
    pub(super) fn register_old(&mut self) -> bool {
        let now = self.now();
        let old = now.before((self.setup.park_after / REGISTER_AFTER).into());
        let mut since = now;
        let (mut done, mut without) = (Vec::new(), Vec::new());
        let folded_again: HashSet<RunId> = self
            .loading
            .keys()
            .filter_map(|(_, asked)| *asked)
            .collect();
        for run_id in &self.memory.young {
            let Some(run) = self.runs.get(run_id) else {
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
            if started(*run_id) > old || without.len() == PARK_BATCH {
                break;
            }
            if run.open_row.is_none() {
                without.push(*run_id);
            }
        }
        let more = without.len() == PARK_BATCH;
        for run_id in without {
            self.register_hot(run_id);
        }
        for run_id in done {
            self.memory.young.remove(&run_id);
        }
        let mut since = since.before(CLOCKS_DIFFER.into());
        if let Some(floor) = self.shards.floor() {
            since = since.min(floor);
        }
        self.setup.open_since.store(since.0, Ordering::Relaxed);
        more
    }

    /// Takes note that there may be open runs without a row in `open_run` from this moment on.
    pub(super) fn lower_open_since(&mut self, since: Timestamp) {
        self.setup.open_since.fetch_min(since.0, Ordering::Relaxed);
    }

    /// A run's row in `open_run` is durable. A parked run leaves memory, unless something has happened to it since.
    pub(super) fn registered(&mut self, run_id: RunId, row: Option<OpenRow>) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.registering = false;
        let parked = matches!(row, Some(OpenRow::Parked(_))) && run.open_row == row;
        if !(parked && run.execution.is_waiting() && run.is_at_rest()) {
            return;
        }
        self.leave_memory(run_id);
    }

    /// Takes a run out of memory that is at rest.
    pub(super) fn leave_memory(&mut self, run_id: RunId) {
        let Some(mut run) = self.runs.remove(&run_id) else {
            return;
        };
        self.outdate(&run.key, run_id);
        let waiters = std::mem::take(&mut run.waiters);
        self.memory.keep_waiters(run_id, run.shard, waiters);
        if let Some(at) = run.execution.next_deadline() {
            let parked = matches!(run.open_row, Some(OpenRow::Parked(_)));
            let shard = run.shard;
            self.wake_when_due(Due { at, shard, run_id }, parked);
        }
        if let Some(session) = run.affinity {
            // A worker that is gone has forgotten the run anyway.
            self.queues
                .send(session, history::task::ToWorker::Evict(run_id));
        }
        self.memory.remove(run.memory_bytes);
        if self.current.get(&run.key) == Some(&run_id) {
            self.current.remove(&run.key);
        }
    }
}

/// Returns the millisecond in a run's id.
fn started(run_id: RunId) -> Timestamp {
    let millis = i64::try_from(run_id.0.as_u128() >> 80).unwrap_or(0);
    Timestamp(millis * 1000)
}
