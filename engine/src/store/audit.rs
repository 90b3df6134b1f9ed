//! Reads for the audit: all rows of `history` in the order of their key, and what is without its counterpart.

use futures::{Stream, TryStreamExt as _};
use sqlx::PgPool;
use uuid::Uuid;

use super::Error;

/// A run, as a key.
pub(crate) type Key = (i16, Uuid);

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
}

impl Row {
    /// Returns where the next page goes on.
    pub(crate) fn place(&self) -> (i16, Uuid, i32) {
        (self.shard, self.run_id, self.seq)
    }
}

/// Returns at most `limit` rows after a place, in the order of the key, one after the other.
pub(crate) fn rows_after(
    pool: &PgPool,
    (shard, run_id, seq): (i16, Uuid, i32),
    limit: i64,
) -> impl Stream<Item = Result<Row, Error>> + '_ {
    // The page is cut before execution is looked up, row by row: a merge join would read execution from its start for every page.
    sqlx::query_as!(
        Row,
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!", h.seq AS "seq!", h.first_event_id AS "first_event_id!",
                  h.version AS "version!", h.records AS "records!", h.hash AS "hash!",
                  e.name AS "namespace?", e.history_length AS "history_length?"
           FROM (
               SELECT shard, run_id, seq, first_event_id, version, records, hash
               FROM history
               WHERE (shard, run_id, seq) > ($1, $2, $3)
               ORDER BY shard, run_id, seq
               LIMIT $4
           ) h
           LEFT JOIN LATERAL (
               SELECT n.name, e.history_length
               FROM execution e
               JOIN namespace n ON n.id = e.namespace
               WHERE e.shard = h.shard AND e.run_id = h.run_id
               OFFSET 0
           ) e ON true
           ORDER BY h.shard, h.run_id, h.seq"#,
        shard,
        run_id,
        seq,
        limit,
    )
    .fetch(pool)
    .map_err(Error::from)
}

/// Returns the rows of one run from one number to another, in order.
pub(crate) fn rows_of(
    pool: &PgPool,
    (shard, run_id): Key,
    from: i32,
    to: i32,
) -> impl Stream<Item = Result<Row, Error>> + '_ {
    sqlx::query_as!(
        Row,
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!", h.seq AS "seq!", h.first_event_id AS "first_event_id!",
                  h.version AS "version!", h.records AS "records!", h.hash AS "hash!",
                  n.name AS "namespace?", e.history_length AS "history_length?"
           FROM history h
           LEFT JOIN execution e ON e.shard = h.shard AND e.run_id = h.run_id
           LEFT JOIN namespace n ON n.id = e.namespace
           WHERE h.shard = $1 AND h.run_id = $2 AND h.seq BETWEEN $3 AND $4
           ORDER BY h.seq"#,
        shard,
        run_id,
        from,
        to,
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

/// Returns at most `limit` runs of `execution` after a given one that have no row in `history`.
pub(crate) async fn runs_without_history(
    pool: &PgPool,
    after: Key,
    limit: i64,
) -> Result<Vec<Key>, Error> {
    let rows = sqlx::query!(
        "SELECT e.shard, e.run_id
         FROM execution e
         WHERE (e.shard, e.run_id) > ($1, $2)
           AND NOT EXISTS (SELECT FROM history h WHERE h.shard = e.shard AND h.run_id = e.run_id)
         ORDER BY e.shard, e.run_id
         LIMIT $3",
        after.0,
        after.1,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.shard, row.run_id))
        .collect())
}
