//! Runs that are read by their ids, many at a time: because their deadline came, or because a worker takes from the queue in
//! which a task of theirs waits.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use futures::FutureExt as _;
use history::RunId;

use super::{Key, Message, Owner, loading::is_passing, queues::QueueKey};
use crate::{
    limits::{READ_AGAIN_AFTER, READ_BATCH},
    store::{self, load::Loaded, load::Ns},
};

/// What runs are read for.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// Their deadlines came.
    Due,
    /// A worker of the queue has room.
    Queue(QueueKey),
    /// One of many that could not be read together.
    Alone,
}

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Runs being read. One that comes back otherwise meanwhile is not among them any more: what is read of it may be old.
    asked: HashSet<RunId>,
    /// Parked runs whose deadlines came.
    due: VecDeque<(i16, RunId)>,
    /// Some of those are being read.
    reads_due: bool,
}

impl Reading {
    /// Takes note that a run is in memory.
    pub(super) fn back(&mut self, run_id: RunId) {
        self.asked.remove(&run_id);
    }
}

impl Owner {
    /// Wakes a run that is not in memory: its deadline came.
    pub(super) fn wake_parked(&mut self, shard: i16, run_id: RunId) {
        self.reading.due.push_back((shard, run_id));
    }

    /// Reads the next runs that are due, unless some are being read: a million deadlines at one moment are no storm.
    pub(super) fn read_due(&mut self) {
        if self.reading.reads_due || self.reading.due.is_empty() {
            return;
        }
        let next = self.reading.due.len().min(READ_BATCH);
        let asked: Vec<_> = self.reading.due.drain(..next).collect();
        self.reading.reads_due = true;
        self.read_all(asked, Cause::Due);
    }

    /// Reads runs that are not in memory and not being read.
    pub(super) fn read_all(&mut self, mut asked: Vec<(i16, RunId)>, cause: Cause) {
        asked.retain(|(_, run_id)| {
            !self.runs.contains_key(run_id) && self.reading.asked.insert(*run_id)
        });
        let store = Arc::clone(&self.setup.store);
        self.elsewhere.push(
            async move {
                let runs = loop {
                    match store.load_all(&asked).await {
                        Err(error) if is_passing(&error) => {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "runs can't be read; trying again"
                            );
                            tokio::time::sleep(READ_AGAIN_AFTER).await;
                        }
                        runs => break runs,
                    }
                };
                Message::Read { cause, asked, runs }
            }
            .boxed(),
        );
    }

    pub(super) fn all_read(
        &mut self,
        cause: Cause,
        asked: Vec<(i16, RunId)>,
        runs: Result<Vec<(Ns, Loaded)>, store::Error>,
    ) {
        match runs {
            Ok(runs) => {
                for (namespace, loaded) in runs {
                    let run_id = loaded.execution.run_id();
                    if self.reading.asked.contains(&run_id) {
                        let workflow_id = loaded.workflow_id.clone();
                        self.take_in(
                            Key {
                                namespace,
                                workflow_id,
                            },
                            loaded,
                        );
                        self.put_to_work(run_id);
                        self.forget_if_over(run_id);
                    }
                }
                // Those are gone, or can't be folded.
                for (_, run_id) in asked {
                    if self.reading.asked.remove(&run_id) {
                        self.backlog.back(run_id);
                    }
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "runs can't be read together; reading each by itself"
                );
                let many = asked.len() > 1;
                for (shard, run_id) in asked {
                    if self.reading.asked.remove(&run_id) {
                        self.backlog.back(run_id);
                        if many {
                            self.read_all(vec![(shard, run_id)], Cause::Alone);
                        }
                    }
                }
            }
        }
        match cause {
            Cause::Due => {
                self.reading.reads_due = false;
                self.read_due();
            }
            Cause::Queue(queue) => self.backlog_read(&queue),
            Cause::Alone => {}
        }
    }
}
