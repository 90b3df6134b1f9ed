//! Runs that are read by their ids, many at a time: because their deadline came, or because a worker takes from the queue in
//! which a task of theirs waits.

use std::{collections::hash_map::Entry, sync::Arc};

use futures::FutureExt as _;
use history::RunId;

use crate::{
    limits::{READ_AGAIN_AFTER, READ_BATCH},
    owner::{
        Owner,
        context::Context,
        loading::{is_of_a_row, is_passing},
        message::Message,
        state::reading::{Asked, Cause, Deadlines, Reading},
    },
    store::{
        self, RunRef,
        load::{Loaded, Part},
        namespaces::Ns,
    },
    words::Key,
};

impl Owner {
    /// Reads the next runs that are due and those that the owner before had in memory. While memory is short there is only a little for
    /// both of them: each gets it in turn.
    pub(super) fn read_next(&mut self) {
        if self.context.reading.due_had_the_last {
            self.read_taken_over();
            self.read_due();
        } else {
            self.read_due();
            self.read_taken_over();
        }
    }

    /// Reads the next runs that are due, in the order of their deadlines, unless some are being read: a million deadlines at one
    /// moment are no storm.
    fn read_due(&mut self) {
        if self.context.reading.due == Deadlines::Read {
            return;
        }
        self.context.reading.due = Deadlines::Quiet;
        let now = self.context.now();
        if !self.context.parked.is_due(now) {
            return;
        }
        let Some(bytes) = self.context.read_allowance() else {
            self.context.reading.due = Deadlines::HeldBack;
            return;
        };
        self.context.reading.due_had_the_last = true;
        while self.context.reading.due == Deadlines::Quiet && self.context.parked.is_due(now) {
            let due = self.context.parked.next_due(now, READ_BATCH);
            if self.read_all(due, Cause::Due, bytes) {
                self.context.reading.due = Deadlines::Read;
            }
        }
    }

    /// Reads the next runs that the owner before had in memory.
    fn read_taken_over(&mut self) {
        if self.context.reading.takes_over
            || self.context.stopping
            || !self.context.shards.is_folding()
        {
            return;
        }
        self.tell_folded();
        if !self.context.shards.is_folding() {
            return;
        }
        let Some(bytes) = self.context.read_allowance() else {
            return;
        };
        self.context.reading.due_had_the_last = false;
        while !self.context.reading.takes_over && self.context.shards.is_folding() {
            let next = self.context.shards.next_to_fold(READ_BATCH);
            self.context.reading.takes_over = self.read_all(next, Cause::TakeOver, bytes);
            if !self.context.reading.takes_over {
                self.tell_folded();
            }
        }
    }

    fn tell_folded(&mut self) {
        while let Some(shards) = self.context.shards.folded() {
            self.shards_folded(shards);
        }
    }

    /// Reads runs of shards that are here, which are not in memory and not being read, up to so many stored bytes; says whether there are
    /// any. Nothing is read for none: the answer would come at once, and whoever asks again with each answer would never end.
    pub(super) fn read_all(&mut self, mut asked: Vec<RunRef>, cause: Cause, bytes: u64) -> bool {
        let Reading {
            asked: reading,
            latest,
            ..
        } = &mut self.context.reading;
        *latest += 1;
        let read = *latest;
        asked.retain(|RunRef { shard, run_id }| {
            let shard = *shard;
            let wanted = self.context.shards.has(shard) && !self.runs.contains_key(run_id);
            match reading.entry(*run_id) {
                Entry::Vacant(entry) if wanted => {
                    entry.insert(Asked { shard, read });
                    true
                }
                Entry::Vacant(_) | Entry::Occupied(_) => false,
            }
        });
        if asked.is_empty() {
            return false;
        }
        let store = Arc::clone(&self.context.setup.store);
        self.context.elsewhere.push(
            async move {
                let part = loop {
                    match store.load_all(&asked, bytes).await {
                        // What the database fails at may be a single run, which then is read by itself: nothing else waits for it.
                        Err(error)
                            if is_passing(&error)
                                && (matches!(cause, Cause::Alone) || !is_of_a_row(&error)) =>
                        {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "runs can't be read; trying again"
                            );
                            tokio::time::sleep(READ_AGAIN_AFTER).await;
                        }
                        part => break part,
                    }
                };
                Message::Read {
                    read,
                    cause,
                    asked,
                    part,
                }
            }
            .boxed(),
        );
        true
    }

    pub(super) fn all_read(
        &mut self,
        read: u64,
        cause: Cause,
        mut asked: Vec<RunRef>,
        part: Result<Part, store::Error>,
    ) {
        match part {
            Ok(Part { runs, read: looked }) => {
                let rest = asked.split_off(looked.min(asked.len()));
                self.come_in(read, cause, runs);
                // Those are gone, or can't be folded.
                for run in asked {
                    if self.context.reading.is_done(read, run.run_id) {
                        self.context.is_not_there(run.run_id);
                    }
                }
                self.context.ask_later(read, cause, rest);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "runs can't be read together; reading each by itself"
                );
                let alone = matches!(cause, Cause::Alone);
                for run in asked {
                    if self.context.reading.is_done(read, run.run_id) {
                        if alone {
                            self.context.is_not_there(run.run_id);
                        } else {
                            self.read_all(vec![run], Cause::Alone, 0);
                        }
                    }
                }
            }
        }
        match cause {
            Cause::Due => self.context.reading.due = Deadlines::Quiet,
            Cause::TakeOver => self.context.reading.takes_over = false,
            Cause::Queue | Cause::Alone => {}
        }
        self.refill_waiting();
    }

    /// Takes in runs that were read. At a takeover, while memory is short, those that only wait for workers leave it again.
    fn come_in(&mut self, read: u64, cause: Cause, runs: Vec<(Ns, Loaded)>) {
        for (namespace, loaded) in runs {
            let run_id = loaded.execution.run_id();
            if !self.context.reading.is_done(read, run_id) {
                continue;
            }
            let workflow_id = loaded.workflow_id.clone();
            self.take_in(
                Key {
                    namespace,
                    workflow_id,
                },
                loaded,
            );
            let leaves = self.runs.get(&run_id);
            let leaves = leaves.is_some_and(|run| run.may_leave_for_backlog());
            if matches!(cause, Cause::TakeOver) && self.context.is_short() && leaves {
                self.leave_for_backlog(run_id);
            }
        }
    }
}

impl Context {
    /// A run that was asked for is gone, or can't be folded.
    fn is_not_there(&mut self, run_id: RunId) {
        self.backlog.back(run_id);
        self.parked.forget(run_id);
    }

    /// Runs that were asked for had no room in one read: they are asked for again. Whatever they were read for, one may have come to be due
    /// meanwhile; the places of others in their queues wait for them.
    fn ask_later(&mut self, read: u64, cause: Cause, mut rest: Vec<RunRef>) {
        rest.retain(|run| self.reading.is_done(read, run.run_id));
        #[cfg(test)]
        if matches!(cause, Cause::Queue) && crate::sim::planted::forgets_deadlines() {
            return;
        }
        for run in &rest {
            self.parked.wake(run.run_id);
        }
        if matches!(cause, Cause::TakeOver) {
            self.shards.fold_later(rest);
        }
    }
}

/// Reads something that has to be read, however often it takes.
pub(super) async fn until_read<T, F>(what: &'static str, read: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, store::Error>>,
{
    loop {
        match read().await {
            Ok(read) => return read,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "{what} can't be read; trying again"
                );
                tokio::time::sleep(READ_AGAIN_AFTER).await;
            }
        }
    }
}
