//! Runs that are read by their ids, many at a time: because their deadline came, or because a worker takes from the queue in
//! which a task of theirs waits.

use std::{collections::VecDeque, sync::Arc};

use foldhash::HashMap;
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

/// The latest read of a run, by its number.
#[derive(Debug, Clone, Copy)]
struct Asked {
    shard: i16,
    read: u64,
}

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Runs being read. One that comes back otherwise meanwhile, or whose shard leaves, is not among
    /// them any more: what is read of it may be old.
    asked: HashMap<RunId, Asked>,
    /// The number of the latest read.
    latest: u64,
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

    /// Forgets the runs of other shards.
    pub(super) fn keep(&mut self, is_here: impl Fn(i16) -> bool) {
        self.asked.retain(|_, asked| is_here(asked.shard));
        self.due.retain(|(shard, _)| is_here(*shard));
    }

    /// Says whether what a read returned of a run is good, and takes note that it is done.
    fn is_done(&mut self, read: u64, run_id: RunId) -> bool {
        let asked = self.asked.get(&run_id);
        let good = asked.is_some_and(|asked| asked.read == read);
        if good {
            self.asked.remove(&run_id);
        }
        good
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

    /// Reads runs of shards that are here, which are not in memory and not being read.
    pub(super) fn read_all(&mut self, mut asked: Vec<(i16, RunId)>, cause: Cause) {
        let Reading {
            asked: reading,
            latest,
            ..
        } = &mut self.reading;
        *latest += 1;
        let read = *latest;
        asked.retain(|(shard, run_id)| {
            let shard = *shard;
            let wanted = self.shards.has(shard) && !self.runs.contains_key(run_id);
            wanted && reading.entry(*run_id).or_insert(Asked { shard, read }).read == read
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
                Message::Read {
                    read,
                    cause,
                    asked,
                    runs,
                }
            }
            .boxed(),
        );
    }

    pub(super) fn all_read(
        &mut self,
        read: u64,
        cause: Cause,
        asked: Vec<(i16, RunId)>,
        runs: Result<Vec<(Ns, Loaded)>, store::Error>,
    ) {
        match runs {
            Ok(runs) => {
                for (namespace, loaded) in runs {
                    let run_id = loaded.execution.run_id();
                    if self.reading.is_done(read, run_id) {
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
                    if self.reading.is_done(read, run_id) {
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
                    if self.reading.is_done(read, run_id) {
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
