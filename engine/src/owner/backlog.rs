//! Runs that left memory while a task of theirs waits in a queue that no worker takes from: when one does, they are read
//! again, some at a time, in the order in which they wait.
//!
//! Such a run leaves without a word to the database: `open_run` calls it hot, so a takeover folds it and lets it wait again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::FutureExt as _;
use history::RunId;

use super::{
    Key, Message, Owner,
    loading::is_passing,
    queues::{Kind, QueueKey},
};
use crate::{
    limits::{BACKLOG_READ, READ_AGAIN_AFTER},
    store::{self, commit::OpenRow, load::Loaded, load::Ns},
};

/// A run that left.
#[derive(Debug, Clone, Copy)]
struct Left {
    shard: i16,
    /// Its workflow task has a place in the queue.
    in_backlog: bool,
}

/// The runs that left.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    left: HashMap<RunId, Left>,
    /// Those of them that are being read. One that comes back otherwise meanwhile is in neither.
    reading: HashSet<RunId>,
    /// The queues for which some are being read.
    queues: HashSet<QueueKey>,
}

impl Backlog {
    /// Takes note that a run is in memory; says whether its workflow task has kept its place in the queue.
    pub(super) fn back(&mut self, run_id: RunId) -> bool {
        self.reading.remove(&run_id);
        self.left
            .remove(&run_id)
            .is_some_and(|left| left.in_backlog)
    }
}

impl Owner {
    /// Lets a run leave memory that only waits for workers, time or messages, if a takeover would find it.
    pub(super) fn leave_for_backlog(&mut self, run_id: RunId) -> bool {
        let Some(run) = self.runs.get(&run_id) else {
            return false;
        };
        let queued = run
            .execution
            .workflow_task()
            .is_none_or(|task| run.in_backlog || !task.is_ready());
        let found = run.open_row == Some(OpenRow::Hot) && !run.registering;
        if !(queued && found && run.execution.is_waiting_for_workers() && run.is_at_rest()) {
            return false;
        }
        let left = Left {
            shard: run.shard,
            in_backlog: run.in_backlog,
        };
        self.leave_memory(run_id);
        #[cfg(test)]
        if crate::sim::planted::forgets_backlog() {
            return true;
        }
        self.backlog.left.insert(run_id, left);
        true
    }

    /// Says whether the first run of a queue has left, and then reads it.
    pub(super) fn must_read(&mut self, queue: &QueueKey, kind: Kind) -> bool {
        let first = self.queues.waiting(queue, kind).next();
        let left = first.is_some_and(|run_id| self.backlog.left.contains_key(&run_id));
        if left {
            self.read_backlog(queue, kind);
        }
        left
    }

    /// Reads the next runs of a queue that have left, unless some are being read. Their places in the queue wait for them.
    fn read_backlog(&mut self, queue: &QueueKey, kind: Kind) {
        if self.backlog.queues.contains(queue) {
            return;
        }
        let Backlog { left, reading, .. } = &mut self.backlog;
        let asked: Vec<(i16, RunId)> = self
            .queues
            .waiting(queue, kind)
            .take(BACKLOG_READ)
            .filter_map(|run_id| Some((left.get(&run_id)?.shard, run_id)))
            .filter(|(_, run_id)| reading.insert(*run_id))
            .collect();
        let store = Arc::clone(&self.setup.store);
        let queue = queue.clone();
        self.backlog.queues.insert(queue.clone());
        self.elsewhere.push(
            async move {
                let runs = loop {
                    match store.load_all(&asked).await {
                        Err(error) if is_passing(&error) => {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "runs that wait for workers can't be read; trying again"
                            );
                            tokio::time::sleep(READ_AGAIN_AFTER).await;
                        }
                        runs => break runs,
                    }
                };
                Message::Backlog { queue, asked, runs }
            }
            .boxed(),
        );
    }

    pub(super) fn backlog_read(
        &mut self,
        queue: &QueueKey,
        asked: Vec<(i16, RunId)>,
        runs: Result<Vec<(Ns, Loaded)>, store::Error>,
    ) {
        self.backlog.queues.remove(queue);
        match runs {
            Ok(runs) => {
                for (namespace, loaded) in runs {
                    let run_id = loaded.execution.run_id();
                    if self.backlog.reading.contains(&run_id) {
                        let workflow_id = loaded.workflow_id.clone();
                        self.take_in(
                            Key {
                                namespace,
                                workflow_id,
                            },
                            loaded,
                        );
                        self.put_to_work(run_id);
                    }
                }
                for (_, run_id) in asked {
                    if self.backlog.reading.contains(&run_id) {
                        self.backlog.back(run_id);
                    }
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a run that waits for a worker can't be read; reading each by itself"
                );
                for (shard, run_id) in asked {
                    if self.backlog.reading.contains(&run_id) {
                        self.backlog.back(run_id);
                        self.wake_parked(shard, run_id);
                    }
                }
            }
        }
        self.refill(queue);
    }
}
