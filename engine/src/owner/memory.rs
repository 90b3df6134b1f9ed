//! What stays in memory. Runs that only wait are parked after a while, and earlier when memory is short.

use std::{cmp::Reverse, sync::atomic::Ordering, time::Duration};

use history::{RunId, execution::AttemptState};
use tokio::time::Instant;

use crate::{
    limits::{MEMORY_BYTES, MEMORY_FULL, PARK_BATCH, READ_BYTES, READ_BYTES_SHORT},
    owner::{
        Owner,
        context::Context,
        state::{memory::ROUND, queues::Waits, run::Run, task_place::TaskPlace},
        step::missed,
    },
    store::{commit::OpenRow, load::Due},
    words::Kind,
};

/// How long after a round the next one is looked through while memory is short.
const ROUND_SHORT: Duration = Duration::from_millis(100);

/// How long after a round that left some the next one is: a million runs leave memory in little pieces, between which the others get their commits.
const NEXT_PIECE: Duration = Duration::from_millis(10);

/// The most runs looked at in one round.
const LOOKS: usize = 4 * PARK_BATCH;

impl Owner {
    /// Lets runs leave memory that only wait: those that have waited long, and as many as it takes when memory is short. Looks
    /// at those first that nothing has happened to for longest, and at so many only that a round is short.
    pub(super) fn make_room(&mut self) {
        let now = Instant::now();
        if now < self.context.memory.next_round {
            return;
        }
        #[cfg(test)]
        self.see_that_none_is_over();
        let (mut looks, mut parked) = (0, 0);
        let mut again = Vec::new();
        while looks < LOOKS && parked < PARK_BATCH {
            let short = self.context.is_short();
            let Some(Reverse((looked_at, run_id))) = self.context.memory.round.peek().copied()
            else {
                break;
            };
            let idle = now.saturating_duration_since(looked_at) >= self.context.setup.park_after;
            if !(idle || short) {
                break;
            }
            looks += 1;
            self.context.memory.round.pop();
            // One that is gone has no place any more.
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
            let idle =
                now.saturating_duration_since(run.touched_at) >= self.context.setup.park_after;
            if !(idle || short) || run.registering || !run.is_at_rest() {
                continue;
            }
            if run.execution.is_waiting() {
                parked += 1;
                let row = OpenRow::Parked(run.execution.next_deadline());
                self.context.register(run, row);
            } else if short {
                if run.may_leave_for_backlog() {
                    self.leave_for_backlog(run_id);
                } else {
                    parked += usize::from(self.context.register_hot(run));
                }
            }
        }
        self.context.memory.round.extend(again);
        self.prune_queues();
        let more = self.register_old() || looks == LOOKS || parked == PARK_BATCH;
        let short = self.context.is_short();
        self.context
            .setup
            .full
            .store(self.context.is_full(), Ordering::Relaxed);
        self.context.memory.last_round = now;
        self.context.memory.next_round = now
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
        let Self { runs, context, .. } = self;
        let Context {
            queues, backlog, ..
        } = context;
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
                self.context.may_demand_less(&queue, kind);
            }
        }
    }

    /// Puts the latest run of a workflow into memory.
    pub(super) fn insert(&mut self, run: Box<Run>) {
        let run_id = run.run_id();
        self.current.insert(run.key.clone(), run_id);
        self.context.remember(run_id, run.looked_at);
        self.runs.insert(run_id, run);
    }

    /// Takes a run out of memory that is at rest.
    pub(super) fn leave_memory(&mut self, run_id: RunId) {
        let Some(mut run) = self.take_out(run_id) else {
            return missed(run_id);
        };
        let waiters = std::mem::take(&mut run.waiters);
        self.context.memory.keep_waiters(run_id, run.shard, waiters);
        if let Some(at) = run.execution.next_deadline() {
            let parked = matches!(run.open_row, Some(OpenRow::Parked(_)));
            let shard = run.shard;
            self.context
                .wake_when_due(Due { at, shard, run_id }, parked);
        }
        if let Some(session) = run.affinity {
            self.context.evict(session, run_id);
        }
    }

    /// Takes a run out of memory.
    pub(super) fn take_out(&mut self, run_id: RunId) -> Option<Box<Run>> {
        let run = self.runs.remove(&run_id)?;
        self.outdate(&run.key, run_id);
        self.context.memory.remove(run.memory_bytes);
        if self.current.get(&run.key) == Some(&run_id) {
            self.current.remove(&run.key);
        }
        Some(run)
    }
}

impl Context {
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
        self.make_room_soon();
        let now = Instant::now();
        if now < self.memory.next_little {
            return None;
        }
        self.memory.next_little = now + ROUND_SHORT;
        Some(READ_BYTES_SHORT)
    }

    /// Weighs a run again after a change.
    pub(super) fn weigh(&mut self, run: &mut Run) {
        let size = run.size();
        self.memory.bytes = self.memory.bytes - run.memory_bytes.min(self.memory.bytes) + size;
        run.memory_bytes = size;
        if self.is_short() {
            self.make_room_soon();
        }
    }

    /// Has the runs looked through while memory is short, and not only when the next round is due: how far it goes beyond the limit would
    /// be a matter of how fast runs come.
    fn make_room_soon(&mut self) {
        let soon = self.memory.last_round + ROUND_SHORT;
        self.memory.next_round = self.memory.next_round.min(soon);
    }
}
