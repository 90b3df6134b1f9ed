//! What `open_run` says of the runs that are in memory.

use std::{sync::atomic::Ordering, time::Duration};

use foldhash::HashSet;
use history::{RunId, Timestamp};

use crate::{
    committer::Command,
    limits::{PARK_BATCH, REGISTER_AFTER},
    owner::{Owner, context::Context, state::run::Run},
    store::commit::OpenRow,
};

impl Context {
    /// Tells the database what `open_run` is to say of a run.
    pub(super) fn register(&mut self, run: &mut Run, row: OpenRow) {
        // A committer that has ended takes the owner with it.
        let _ = self.commits.send(Command::Commit(run.register(row)));
    }

    /// Gives an open run its row in `open_run` if it has none yet.
    pub(super) fn register_hot(&mut self, run: &mut Run) -> bool {
        let without = run.open_row.is_none() && run.was_committed() && run.execution.is_open();
        if without {
            self.register(run, OpenRow::Hot);
        }
        without
    }

    /// Takes note that there may be open runs without a row in `open_run` from this moment on.
    pub(super) fn lower_open_since(&mut self, since: Timestamp) {
        self.setup.open_since.fetch_min(since.0, Ordering::Relaxed);
    }
}

impl Owner {
    /// Gives some of the open runs a row in `open_run` that have been without one for a while, and notes from when on they have
    /// none. Says whether there are more.
    pub(super) fn register_old(&mut self) -> bool {
        let now = self.context.now();
        let old = now.before((self.context.setup.park_after / REGISTER_AFTER).into());
        let mut since = now;
        let (mut done, mut without) = (Vec::new(), Vec::new());
        let folded_again: HashSet<RunId> = self
            .loading
            .keys()
            .filter_map(|(_, asked)| *asked)
            .collect();
        for run_id in &self.context.memory.young {
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
            self.step_here(run_id, |context, run| {
                context.register_hot(run);
                Ok(())
            });
        }
        for run_id in done {
            self.context.memory.young.remove(&run_id);
        }
        let mut since = since.before(CLOCKS_DIFFER.into());
        if let Some(floor) = self.context.shards.floor() {
            since = since.min(floor);
        }
        self.context
            .setup
            .open_since
            .store(since.0, Ordering::Relaxed);
        more
    }

    /// A run's row in `open_run` is durable. A parked run leaves memory, unless something has happened to it since.
    pub(super) fn registered(&mut self, run_id: RunId, row: Option<OpenRow>) {
        // One that is gone closed meanwhile, went with its shard, or was folded again.
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
}

/// Returns the millisecond in a run's id.
fn started(run_id: RunId) -> Timestamp {
    let millis = i64::try_from(run_id.0.as_u128() >> 80).unwrap_or(0);
    Timestamp(millis * 1000)
}

/// By how much the run ids of owners that follow each other may overlap: how exactly each of them samples Postgres's time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);
