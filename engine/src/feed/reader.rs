//! A reader of the feed.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::{Instant, timeout_at};

use crate::{
    feed::tail::{Committed, Heard, Kept, Listener, Tail, Written},
    limits::{FEED_LATE_MAX, FEED_PAGE, READ_AGAIN_AFTER},
    store::{
        self,
        feed::{Cursor, Latest, Page, Source},
    },
};

/// Something that the reader has not read was deleted, or its cursor is of another time of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed does not reach back to this cursor; read what there is, and begin at its end")]
pub struct Missed;

/// Reads what is committed, batch by batch: each row of history once, those of a run in order. What this process commits comes from memory
/// at once; what others commit, and what a reader that lags has not read, from the database, [`FEED_LATE_MAX`] later at most.
#[derive(Debug)]
pub struct FeedReader {
    source: Arc<dyn Source>,
    listener: Listener,
    cursor: Cursor,
    /// What was read and not given yet.
    read: VecDeque<Committed>,
    /// What is to follow when all of that is given.
    then: Then,
}

/// Where the next batch comes from.
#[derive(Debug)]
enum Then {
    /// From the database: a page of it, and another one until nothing is left.
    Database,
    /// From memory, when it is noted that nothing else was there while these were the members.
    Members {
        latest: Latest,
        members: Vec<i64>,
        taken: u64,
        read_at: Instant,
    },
    /// From memory, until others may have committed something since the database was read. That was after shards were taken so often.
    Memory { taken: u64, read_at: Instant },
}

impl FeedReader {
    /// Returns one that begins behind a cursor, or at the end.
    pub(crate) async fn begin(
        source: Arc<dyn Source>,
        tail: &Arc<Tail>,
        cursor: Option<Cursor>,
    ) -> Result<Self, store::Error> {
        let listener = tail.listen();
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => source.end().await?,
        };
        Ok(Self {
            source,
            listener,
            cursor,
            read: VecDeque::new(),
            then: Then::Database,
        })
    }

    /// Returns the cursor behind what was given.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Waits for the next batch that wrote history. May be dropped while it waits. While the database can't be read it waits on.
    ///
    /// # Errors
    /// When something that was not read is gone from the feed.
    pub async fn next(&mut self) -> Result<Committed, Missed> {
        loop {
            while let Some(batch) = self.read.pop_front() {
                self.cursor.pass(batch.slot, batch.number);
                if !batch.rows.is_empty() {
                    return Ok(batch);
                }
            }
            match &self.then {
                Then::Database => self.read_page().await?,
                Then::Members {
                    latest,
                    members,
                    taken,
                    read_at,
                } => {
                    self.cursor.meet(*latest, members);
                    self.then = Then::Memory {
                        taken: *taken,
                        read_at: *read_at,
                    };
                }
                Then::Memory { taken, read_at } => {
                    let look_at = *read_at + FEED_LATE_MAX;
                    self.listen(*taken, look_at).await;
                }
            }
        }
    }

    async fn read_page(&mut self) -> Result<(), Missed> {
        let (taken, read_at) = (self.listener.tail().taken(), Instant::now());
        self.listener.skip();
        let page = match self.source.after(&self.cursor, FEED_PAGE).await {
            Ok(page) => page.ok_or(Missed)?,
            Err(error) => {
                self.wait_for_database(&error).await;
                return Ok(());
            }
        };
        match self.records(&page).await {
            Ok(batches) => self.read = batches,
            Err(error) => {
                self.wait_for_database(&error).await;
                return Ok(());
            }
        }
        if page.is_last {
            self.then = Then::Members {
                latest: page.latest,
                members: page.members,
                taken,
                read_at,
            };
        }
        Ok(())
    }

    async fn wait_for_database(&self, error: &store::Error) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the feed can't be read; trying again"
        );
        tokio::time::sleep(READ_AGAIN_AFTER).await;
    }

    /// Returns the batches of a page, with the records of their rows.
    async fn records(&self, page: &Page) -> Result<VecDeque<Committed>, store::Error> {
        let changes = page.batches.iter().flat_map(|batch| &batch.changes);
        let changes: Vec<_> = changes.copied().collect();
        let mut records = self.source.records(&changes).await?.into_iter();
        let batches = page.batches.iter().map(|batch| Committed {
            slot: batch.slot,
            number: batch.number,
            rows: (batch.changes.iter())
                .map(|change| Written {
                    change: *change,
                    records: records.next().flatten(),
                })
                .collect(),
        });
        Ok(batches.collect())
    }

    /// Takes the next batch from memory, or finds that it has to be read, or that it is time to look for what others have committed.
    async fn listen(&mut self, taken: u64, look_at: Instant) {
        #[cfg(test)]
        let look_at = crate::sim::planted::look_later(look_at);
        if Instant::now() >= look_at {
            self.then = Then::Database;
            return;
        }
        let kept = match self.listener.next() {
            Heard::Batch(kept) => kept,
            Heard::Nothing => {
                // What time it is then is looked at above.
                let _ = timeout_at(look_at, self.listener.changed()).await;
                return;
            }
            Heard::Gap => {
                self.then = Then::Database;
                return;
            }
        };
        let Kept {
            batch,
            previous,
            taken: taken_then,
        } = &*kept;
        let read = self.cursor.of(batch.slot);
        if self.cursor.has_left(batch.slot) || batch.number <= read {
            return;
        }
        let follows = *previous == read && *taken_then == taken;
        #[cfg(test)]
        let follows = follows || crate::sim::planted::trusts_tail();
        if follows {
            self.read.push_back(batch.clone());
        } else {
            self.then = Then::Database;
        }
    }
}
