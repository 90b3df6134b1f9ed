//! What is audited: a database, or a dump of one.

use std::ops::RangeInclusive;

use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use history::{Timestamp, chain::Hash};
use sqlx::PgPool;
use uuid::Uuid;

use super::dump::Dump;
use crate::{
    clock,
    seal::Entry,
    store::{
        self, Error,
        audit::{Key, Place, Row},
        seal::audit::{Checkpoint, Deleted, Pruned},
    },
};

/// How many tiles or checkpoints are read at once.
const PAGE: i64 = 64;
/// How many deletions are.
const DELETED: i64 = 1000;

/// What is audited.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Database(&'a PgPool),
    Dump(&'a Dump),
}

impl<'a> Source<'a> {
    /// Returns at most `limit` rows after a place, in the order of the key, one after the other.
    pub(super) fn rows_after(self, after: Place, limit: i64) -> BoxStream<'a, Result<Row, Error>> {
        match self {
            Self::Database(pool) => store::audit::rows_after(pool, after, limit).boxed(),
            Self::Dump(dump) => {
                let most = usize::try_from(limit).unwrap_or(usize::MAX);
                stream::iter(dump.rows_after(after).take(most)).boxed()
            }
        }
    }

    /// Returns the rows of one run with these numbers, in order.
    pub(super) async fn rows_of(
        self,
        run: Key,
        seqs: RangeInclusive<i32>,
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Database(pool) => store::audit::rows_of(pool, run, seqs).try_collect().await,
            Self::Dump(dump) => dump.rows_of(run, seqs),
        }
    }

    /// Says whether nothing knows a run.
    pub(super) async fn is_gone(self, run: Key) -> Result<bool, Error> {
        match self {
            Self::Database(pool) => store::audit::is_gone(pool, run).await,
            Self::Dump(dump) => Ok(!dump.knows(run)),
        }
    }

    /// Returns at most `limit` runs of `execution` after a given one that have no row in `history`.
    pub(super) async fn runs_without_history(
        self,
        after: Key,
        limit: i64,
    ) -> Result<Vec<Key>, Error> {
        match self {
            Self::Database(pool) => store::audit::runs_without_history(pool, after, limit).await,
            Self::Dump(dump) => Ok(dump.runs_without_history(after, limit)),
        }
    }

    /// Returns what time it is.
    pub(super) async fn now(self) -> Result<Timestamp, Error> {
        match self {
            Self::Database(pool) => store::clock::now(pool).await,
            Self::Dump(_) => Ok(clock::of_this_machine()),
        }
    }

    /// Returns all checkpoints from the n-th on, in order.
    pub(super) async fn checkpoints(self, n: i64) -> Result<Vec<Checkpoint>, Error> {
        let pool = match self {
            Self::Database(pool) => pool,
            Self::Dump(dump) => return Ok(dump.checkpoints(n)),
        };
        let mut all: Vec<Checkpoint> = Vec::new();
        loop {
            // One of a number that is none is found where it is in the way.
            let first = if n == 0 { i64::MIN } else { n };
            let from = all.last().map_or(first, |last| last.n.saturating_add(1));
            let page = store::seal::audit::checkpoints(pool, from, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Returns the next tiles from the n-th on, with their numbers; none behind the last.
    pub(super) async fn tiles(self, from: i64) -> Result<Vec<(i64, Vec<Entry>)>, Error> {
        match self {
            Self::Database(pool) => store::seal::audit::tiles(pool, from, PAGE).await,
            Self::Dump(dump) => dump.tiles(from, PAGE),
        }
    }

    /// Returns the root of the n-th tile, if it is kept.
    pub(super) async fn tile_root(self, n: i64) -> Result<Option<Hash>, Error> {
        let root = match self {
            Self::Database(pool) => store::seal::audit::tile_root(pool, n).await?,
            Self::Dump(dump) => dump.tile_root(n),
        };
        Ok(root.and_then(|root| root.try_into().ok()))
    }

    /// Returns the next deletions behind one, in the order of their ids; none behind the last.
    pub(super) async fn deleted(self, after: Uuid) -> Result<Vec<Deleted>, Error> {
        match self {
            Self::Database(pool) => store::seal::audit::deleted(pool, after, DELETED).await,
            Self::Dump(dump) => dump.deleted(after, DELETED),
        }
    }

    /// Returns which tiles were deleted.
    pub(super) async fn pruned(self) -> Result<Vec<Pruned>, Error> {
        match self {
            Self::Database(pool) => store::seal::audit::pruned(pool).await,
            Self::Dump(dump) => Ok(dump.pruned()),
        }
    }
}
