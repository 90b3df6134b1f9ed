//! Reads for the audit: all rows of `history` in the order of their key, and what is without its counterpart.

use std::ops::RangeInclusive;

use futures::{Stream, TryStreamExt as _};
use history::RunId;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, RunRef};

/// A run, as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
}

impl Key {
    /// Before all runs.
    pub(crate) const FIRST: Self = Self {
        shard: i16::MIN,
        run_id: Uuid::nil(),
    };

    /// Returns it as others name it.
    pub(crate) fn run_ref(self) -> RunRef {
        RunRef {
            shard: self.shard,
            run_id: RunId(self.run_id),
        }
    }
}

/// A row of history, as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) run: Key,
    pub(crate) seq: i32,
}

impl Place {
    /// Before all rows.
    pub(crate) const FIRST: Self = Self {
        run: Key::FIRST,
        seq: i32::MIN,
    };
}

/// A stored row with what `execution` says of its run, in one snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
    pub(crate) seq: i32,
    pub(crate) first_event_id: i64,
    pub(crate) version: i16,
    pub(crate) records: String,
    pub(crate) hash: Vec<u8>,
    /// The namespace's name; none if the run is not in `execution`.
    pub(crate) namespace: Option<String>,
    /// How many events the run has, if it is closed.
    pub(crate) history_length: Option<i64>,
    /// The workflow and its type, as `execution` has them.
    pub(crate) workflow_id: Option<String>,
    pub(crate) workflow_type: Option<String>,
}

impl Row {
    /// Returns its run.
    pub(crate) fn run(&self) -> Key {
        Key {
            shard: self.shard,
            run_id: self.run_id,
        }
    }

    /// Returns where the next page goes on.
    pub(crate) fn place(&self) -> Place {
        Place {
            run: self.run(),
            seq: self.seq,
        }
    }
}

/// Returns at most `limit` rows after a place, in the order of the key, one after the other.
pub(crate) fn rows_after(
    pool: &PgPool,
    after: Place,
    limit: i64,
) -> impl Stream<Item = Result<Row, Error>> + '_ {
    // The page is cut before execution is looked up, row by row: a merge join would read execution from its start for every page.
    sqlx::query_as!(
        Row,
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!", h.seq AS "seq!", h.first_event_id AS "first_event_id!",
                  h.version AS "version!", h.records AS "records!", h.hash AS "hash!",
                  e.name AS "namespace?", e.history_length AS "history_length?",
                  e.workflow_id AS "workflow_id?", e.workflow_type AS "workflow_type?"
           FROM (
               SELECT shard, run_id, seq, first_event_id, version, records, hash
               FROM history
               WHERE (shard, run_id, seq) > ($1, $2, $3)
               ORDER BY shard, run_id, seq
               LIMIT $4
           ) h
           LEFT JOIN LATERAL (
               SELECT n.name, e.history_length, e.workflow_id, e.workflow_type
               FROM execution e
               JOIN namespace n ON n.id = e.namespace
               WHERE e.shard = h.shard AND e.run_id = h.run_id
               OFFSET 0
           ) e ON true
           ORDER BY h.shard, h.run_id, h.seq"#,
        after.run.shard,
        after.run.run_id,
        after.seq,
        limit,
    )
    .fetch(pool)
    .map_err(Error::from)
}

/// Returns the rows of one run with these numbers, in order.
pub(crate) fn rows_of(
    pool: &PgPool,
    run: Key,
    seqs: RangeInclusive<i32>,
) -> impl Stream<Item = Result<Row, Error>> + '_ {
    sqlx::query_as!(
        Row,
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!", h.seq AS "seq!", h.first_event_id AS "first_event_id!",
                  h.version AS "version!", h.records AS "records!", h.hash AS "hash!",
                  n.name AS "namespace?", e.history_length AS "history_length?",
                  e.workflow_id AS "workflow_id?", e.workflow_type AS "workflow_type?"
           FROM history h
           LEFT JOIN execution e ON e.shard = h.shard AND e.run_id = h.run_id
           LEFT JOIN namespace n ON n.id = e.namespace
           WHERE h.shard = $1 AND h.run_id = $2 AND h.seq BETWEEN $3 AND $4
           ORDER BY h.seq"#,
        run.shard,
        run.run_id,
        *seqs.start(),
        *seqs.end(),
    )
    .fetch(pool)
    .map_err(Error::from)
}

/// Returns the shards that know a run: one, unless something is wrong.
pub(crate) async fn shards_of(pool: &PgPool, run_id: Uuid) -> Result<Vec<i16>, Error> {
    Ok(sqlx::query_scalar!(
        r#"SELECT shard AS "shard!" FROM execution WHERE run_id = $1
           UNION
           SELECT shard FROM history WHERE run_id = $1
           ORDER BY 1"#,
        run_id,
    )
    .fetch_all(pool)
    .await?)
}

/// Says whether nothing knows a run.
pub(crate) async fn is_gone(pool: &PgPool, run: Key) -> Result<bool, Error> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM execution WHERE shard = $1 AND run_id = $2)
                  OR EXISTS (SELECT FROM history WHERE shard = $1 AND run_id = $2) AS "known!""#,
        run.shard,
        run.run_id,
    )
    .fetch_one(pool)
    .await?;
    Ok(!known)
}

/// Returns at most `limit` runs of `execution` after a given one that have no row in `history`.
pub(crate) async fn runs_without_history(
    pool: &PgPool,
    after: Key,
    limit: i64,
) -> Result<Vec<Key>, Error> {
    Ok(sqlx::query_as!(
        Key,
        "SELECT e.shard, e.run_id
         FROM execution e
         WHERE (e.shard, e.run_id) > ($1, $2)
           AND NOT EXISTS (SELECT FROM history h WHERE h.shard = e.shard AND h.run_id = e.run_id)
         ORDER BY e.shard, e.run_id
         LIMIT $3",
        after.shard,
        after.run_id,
        limit,
    )
    .fetch_all(pool)
    .await?)
}
