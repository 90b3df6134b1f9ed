//! One connection that commits: batch after batch, and what is to be done when one fails.

use std::{sync::Arc, time::Duration};

use foldhash::{HashMap, HashSet};
use history::RunId;
use tokio::time::Instant;

use crate::{
    committer::{
        Outcome, Refusal,
        command::{Workflow, workflow},
        doubts::Doubts,
        gathered::Batch,
    },
    feed::Tail,
    limits::{BATCH_ATTEMPTS_MAX, BATCH_RESENDS_MAX, ITEM_RESENDS_MAX, LOCK_LOOK, LOCK_LOOKS_MAX},
    progress::Progress,
    store::RunRef,
    store::{
        self, Connection, Store, Term,
        commit::{Item, NotCommitted},
        fate::Fate,
        feed::Slot,
    },
};

/// How a committer reaches its database, and under whose name it writes.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) term: Term,
    /// How long to wait for an answer, and how long to try to reach a database that went away, before the ownership counts as lost.
    pub(crate) patience: Duration,
    pub(crate) progress: Arc<Progress>,
    /// Where those hear of what is committed who follow it in this process.
    pub(crate) tail: Arc<Tail>,
}

/// Why nothing more can be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The fence does not hold any more.
    #[error("another process owns the slot")]
    Fenced,
    /// What was committed is not there: the database was restored or failed over to an earlier state.
    #[error("the database is behind what it acknowledged")]
    Behind,
    /// Another server is the database now, or another time of the same one.
    #[error("the database failed over")]
    FailedOver,
    /// The database refuses the bookkeeping itself.
    #[error("the database refuses to commit: {0}")]
    Refused(String),
    /// The database can't be reached, or fails again and again.
    #[error("the database can't commit")]
    Store(#[from] store::Error),
}

/// A slot's connection, and the number of its next batch.
pub(crate) struct Lane {
    slot: i16,
    connection: Box<dyn Connection>,
    setup: Setup,
    next: i64,
    /// The last batch that was committed.
    last: i64,
    /// It waits for locks for a short look only.
    looks: bool,
}

impl Lane {
    pub(crate) fn new(n: usize, connection: Box<dyn Connection>, setup: Setup) -> Self {
        Self {
            slot: i16::try_from(n).unwrap_or(i16::MAX),
            connection,
            setup,
            next: 1,
            last: 0,
            looks: false,
        }
    }

    /// Commits a batch, whatever it takes: tries again what may succeed, finds out the outcome of a lost
    /// answer, and singles out an item whose data the database refuses.
    pub(crate) async fn commit(mut self, batch: Batch) -> Result<(Self, Outcome), Lost> {
        let mut outcome = Outcome::default();
        let mut parts = if batch.asks {
            Vec::new()
        } else {
            vec![batch.items]
        };
        let (mut delivered, mut answers) = (batch.delivered, batch.answers);
        // What follows an item that is not written is not written either: a history has no gaps.
        let mut lost: HashMap<Workflow, Option<Refusal>> = HashMap::default();
        let mut cut = false;
        // How often it was looked whether a lock is still kept.
        let mut looks = 0;
        self.look(batch.looks).await;
        while let Some(mut part) = parts.pop() {
            if !lost.is_empty() {
                let behind = part.extract_if(.., |item| lost.contains_key(&workflow(item)));
                for item in behind {
                    match lost.get(&workflow(&item)).cloned().flatten() {
                        Some(problem) => outcome.refused.push((item, problem)),
                        None => outcome.conflicting.push(item),
                    }
                }
                // What goes with it goes at the end.
                let more = parts.is_empty() && !(delivered.is_empty() && answers.is_empty());
                if part.is_empty() && !more {
                    continue;
                }
            }
            if part.is_empty() && delivered.is_empty() {
                // It needs nothing but what every batch needs.
                self.look(false).await;
            }
            let resends = match part.len() {
                0 | 1 => ITEM_RESENDS_MAX,
                // What is in doubt after the first cut is found sooner.
                _ if cut => 1,
                _ => BATCH_RESENDS_MAX,
            };
            let committed = if part.len() <= 1 || looks < LOCK_LOOKS_MAX {
                self.commit_part(&part, &delivered, resends).await?
            } else {
                // Those who wait for an answer have waited for long enough; each goes alone from now on.
                Err(Refusal::Locked)
            };
            match committed {
                Ok(conflicts) => {
                    outcome.delivered.append(&mut delivered);
                    outcome.confirmed.append(&mut answers);
                    if conflicts.is_empty() {
                        outcome.committed.append(&mut part);
                        continue;
                    }
                    let conflicting = part.iter().filter(|item| {
                        let mut starts = item.starts.iter();
                        starts.any(|start| conflicts.contains(&start.run_id))
                    });
                    lost.extend(conflicting.map(|item| (workflow(item), None)));
                    let (conflicting, committed) = part
                        .into_iter()
                        .partition::<Vec<_>, _>(|item| lost.contains_key(&workflow(item)));
                    outcome.committed.extend(committed);
                    outcome.conflicting.extend(conflicting);
                }
                Err(Refusal::Locked) if !delivered.is_empty() => {
                    // They are nothing that anybody waits for, and may be what the lock is of.
                    outcome.put_off.append(&mut delivered);
                    self.look(true).await;
                    parts.push(part);
                }
                Err(problem) if part.len() <= 1 || looks >= LOCK_LOOKS_MAX => {
                    for item in part {
                        lost.insert(workflow(&item), Some(problem.clone()));
                        outcome.refused.push((item, problem.clone()));
                    }
                    // What went with it goes alone.
                    if parts.is_empty() {
                        parts.push(Vec::new());
                    }
                }
                Err(problem) => {
                    if matches!(problem, Refusal::Locked) {
                        looks += 1;
                        self.look(true).await;
                    }
                    cut = true;
                    let mut first = part;
                    let second = first.split_off(first.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        let is_locked = |(_, refusal): &(Item, Refusal)| matches!(refusal, Refusal::Locked);
        if batch.asks || (!outcome.is_progress() && outcome.refused.iter().all(is_locked)) {
            self.commit_nothing().await?;
            self.look(true).await;
            let free = self.connection.tables_are_free();
            let free = tokio::time::timeout(self.setup.patience, free).await;
            outcome.blocked = Some(!free.unwrap_or(false));
        }
        self.look(false).await;
        Ok((self, outcome))
    }

    /// Waits for locks for a short look only from now on, or for as long as ever.
    async fn look(&mut self, shortly: bool) {
        if self.looks != shortly {
            self.looks = shortly;
            let wait = self.connection.wait_for_locks(shortly.then_some(LOCK_LOOK));
            // What fails is told by the next commit.
            let _ = tokio::time::timeout(self.setup.patience, wait).await;
        }
    }

    /// Commits items in one transaction, sent so often at most. The inner error says why they can't be: for one item, that they never
    /// will, or not now.
    async fn commit_part(
        &mut self,
        items: &[Item],
        delivered: &[RunRef],
        resends: u32,
    ) -> Result<Result<HashSet<RunId>, Refusal>, Lost> {
        let (mut attempt, mut locked) = (1, 0);
        let mut doubts = Doubts::new(resends, self.setup.patience);
        loop {
            let batch = self.next;
            self.next += 1;
            let answer = self.connection.commit(batch, items, delivered);
            let error = match tokio::time::timeout(self.setup.patience, answer).await {
                Ok(Ok(conflicts)) => {
                    self.publish(batch, items, &conflicts.0);
                    return Ok(Ok(conflicts.0));
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => NotCommitted::Unknown(store::Error::Silent),
            };
            let doubtful = match error {
                NotCommitted::Fenced => return Err(Lost::Fenced),
                NotCommitted::Poison(problem) if !items.is_empty() => {
                    return Ok(Err(Refusal::Data(problem)));
                }
                NotCommitted::Poison(_) | NotCommitted::TryAgain(_)
                    if attempt < BATCH_ATTEMPTS_MAX =>
                {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        attempt,
                        "a batch failed and is tried again"
                    );
                    // 10 ms, 20 ms, 40 ms, 80 ms.
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                    attempt += 1;
                    continue;
                }
                NotCommitted::Poison(problem) => return Err(Lost::Refused(problem)),
                NotCommitted::TryAgain(error) => return Err(Lost::Store(error)),
                NotCommitted::Locked(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a batch waits for a lock that another session keeps"
                    );
                    locked += 1;
                    if !items.is_empty() || !delivered.is_empty() {
                        return Ok(Err(Refusal::Locked));
                    }
                    // The lock is of what every batch needs.
                    if locked == BATCH_ATTEMPTS_MAX {
                        return Err(Lost::Store(error));
                    }
                    continue;
                }
                NotCommitted::Doubtful(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database failed at a batch"
                    );
                    if items.len() > 1 {
                        return Ok(Err(Refusal::Failing(error.with_causes())));
                    }
                    error
                }
                NotCommitted::Unknown(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        batch,
                        "the answer to a batch was lost; looking for its fate"
                    );
                    if let Some(conflicts) = self.find_out(batch, items).await? {
                        self.publish(batch, items, &conflicts);
                        return Ok(Ok(conflicts));
                    }
                    error
                }
            };
            if !doubts.are_enough() {
                continue;
            }
            if items.is_empty() {
                return Err(Lost::Store(doubtful));
            }
            if items.len() == 1 {
                self.commit_nothing().await?;
            }
            return Ok(Err(Refusal::Failing(doubtful.with_causes())));
        }
    }

    /// Tells those who follow what is committed.
    fn publish(&mut self, batch: i64, items: &[Item], lost: &HashSet<RunId>) {
        let previous = std::mem::replace(&mut self.last, batch);
        let slot = Slot {
            epoch: self.setup.term.epoch,
            n: self.slot,
        };
        self.setup
            .tail
            .publish(slot, (batch, previous), items, lost);
    }

    /// Is it an item, or the database? That one has to commit when it is not asked for anything.
    async fn commit_nothing(&mut self) -> Result<(), Lost> {
        let looks = self.looks;
        self.look(false).await;
        Box::pin(self.commit_part(&[], &[], ITEM_RESENDS_MAX))
            .await?
            .ok();
        self.look(looks).await;
        Ok(())
    }

    /// Opens the connection anew and returns the outcome of a batch whose answer was lost: its conflicts if it was committed.
    async fn find_out(
        &mut self,
        batch: i64,
        items: &[Item],
    ) -> Result<Option<HashSet<RunId>>, Lost> {
        let patience = self.setup.patience;
        let until = Instant::now() + patience;
        loop {
            let found = tokio::time::timeout(patience, self.try_to_find_out(batch, items)).await;
            match found.unwrap_or(Err(Lost::Store(store::Error::Silent))) {
                Err(Lost::Store(error)) if Instant::now() < until => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database can't be reached; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
    }

    async fn try_to_find_out(
        &mut self,
        batch: i64,
        items: &[Item],
    ) -> Result<Option<HashSet<RunId>>, Lost> {
        let Setup { store, term, .. } = &self.setup;
        let fate = store.fate(self.slot, *term, batch, items).await?;
        let conflicts = match fate {
            Fate::Fenced => return Err(Lost::Fenced),
            Fate::Behind => return Err(Lost::Behind),
            Fate::FailedOver => return Err(Lost::FailedOver),
            Fate::NotCommitted => None,
            Fate::Committed(conflicts) => Some(conflicts),
        };
        self.connection = store.connection(self.slot, *term).await?;
        let looks = std::mem::take(&mut self.looks);
        self.look(looks).await;
        Ok(conflicts)
    }
}
