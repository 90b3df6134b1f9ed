//! Reads all that is sealed, and what was deleted.

use futures::{Stream, TryStreamExt as _};
use history::Timestamp;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::log;
use crate::{
    seal::{Entry, Tombstone},
    store::Error,
};

/// A row of `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) n: i64,
    pub(crate) size: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) at: Timestamp,
    pub(crate) complete_until: Option<Timestamp>,
    pub(crate) note: String,
}

/// A row of `tombstone`.
#[derive(Debug, Clone)]
pub(crate) struct Deleted {
    pub(crate) tombstone: Tombstone,
    pub(crate) leaf: Option<u64>,
    pub(crate) run_ids: Option<Vec<Uuid>>,
}

/// A row of `seal_pruned`.
#[derive(Debug, Clone)]
pub(crate) struct Pruned {
    pub(crate) id: Uuid,
    pub(crate) tiles: Vec<i64>,
}

/// Returns at most so many checkpoints from the n-th on.
pub(crate) async fn checkpoints(
    pool: &PgPool,
    from: i64,
    most: i64,
) -> Result<Vec<Checkpoint>, Error> {
    let rows = sqlx::query!(
        r#"SELECT n, size, root, note, (extract(epoch FROM at) * 1000000)::bigint AS "at!",
                  (extract(epoch FROM complete_until) * 1000000)::bigint AS "complete_until?"
           FROM checkpoint WHERE n >= $1 ORDER BY n LIMIT $2"#,
        from,
        most
    )
    .fetch_all(pool)
    .await?;
    let checkpoints = rows.into_iter().map(|row| Checkpoint {
        n: row.n,
        size: row.size,
        root: row.root,
        at: Timestamp(row.at),
        complete_until: row.complete_until.map(Timestamp),
        note: row.note,
    });
    Ok(checkpoints.collect())
}

/// Returns at most so many tiles from the n-th on, with their numbers. One that can't be read is empty.
pub(crate) async fn tiles(
    pool: &PgPool,
    from: i64,
    most: i64,
) -> Result<Vec<(i64, Vec<Entry>)>, Error> {
    let rows = sqlx::query!(
        "SELECT n, shards, ids, seqs, hashes FROM seal_tile WHERE n >= $1 ORDER BY n LIMIT $2",
        from,
        most
    )
    .fetch_all(pool)
    .await?;
    let tiles = rows.into_iter().map(|row| {
        let entries = log::entries(row.shards, row.ids, row.seqs, row.hashes);
        (row.n, entries.unwrap_or_default())
    });
    Ok(tiles.collect())
}

/// Returns the root of the n-th tile, if it is kept.
pub(crate) async fn tile_root(pool: &PgPool, n: i64) -> Result<Option<Vec<u8>>, Error> {
    Ok(
        sqlx::query_scalar!("SELECT hash FROM seal_node WHERE level = 1 AND n = $1", n)
            .fetch_optional(pool)
            .await?,
    )
}

/// A row of `tombstone` as it comes.
struct Row {
    id: Uuid,
    namespace: i16,
    reason: i16,
    runs: i32,
    events: i64,
    bytes: i64,
    hash: Vec<u8>,
    run_id: Option<Uuid>,
    workflow_id: Option<String>,
    runs_hash: Vec<u8>,
    archive: Option<String>,
    leaf: Option<i64>,
    run_ids: Option<Vec<Uuid>>,
    at: i64,
    closed_from: i64,
    closed_until: i64,
}

/// Returns at most so many deletions behind one, in the order of their ids.
pub(crate) async fn deleted(pool: &PgPool, after: Uuid, most: i64) -> Result<Vec<Deleted>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, namespace, reason, runs, events, bytes, run_id, workflow_id, hash, runs_hash, archive, leaf, run_ids,
                  (extract(epoch FROM at) * 1000000)::bigint AS "at!",
                  (extract(epoch FROM closed_from) * 1000000)::bigint AS "closed_from!",
                  (extract(epoch FROM closed_until) * 1000000)::bigint AS "closed_until!"
           FROM tombstone WHERE id > $1 ORDER BY id LIMIT $2"#,
        after,
        most,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Row::deleted).collect())
}

/// Returns the deletions that were sealed in front of a place, and may be of runs that some tiles name, one after the other.
pub(crate) fn deleted_of_tiles<'a>(
    executor: impl PgExecutor<'a> + 'a,
    tiles: &'a [i64],
    before: i64,
) -> impl Stream<Item = Result<Deleted, Error>> + 'a {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, namespace, reason, runs, events, bytes, run_id, workflow_id, hash, runs_hash, archive, leaf, run_ids,
                  (extract(epoch FROM at) * 1000000)::bigint AS "at!",
                  (extract(epoch FROM closed_from) * 1000000)::bigint AS "closed_from!",
                  (extract(epoch FROM closed_until) * 1000000)::bigint AS "closed_until!"
           FROM tombstone
           WHERE run_ids IS NOT NULL AND leaf < $2 AND span && (SELECT range_agg(t.span) FROM seal_tile t WHERE t.n = ANY ($1))"#,
        tiles,
        before,
    )
    .fetch(executor);
    rows.map_ok(Row::deleted).map_err(Error::from)
}

/// Returns at most so many deletions that are not sealed, the oldest first; without the runs.
pub(crate) async fn unsealed(
    connection: &mut PgConnection,
    most: i64,
) -> Result<Vec<Tombstone>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, namespace, reason, runs, events, bytes, run_id, workflow_id, hash, runs_hash, archive, leaf, NULL::uuid[] AS run_ids,
                  (extract(epoch FROM at) * 1000000)::bigint AS "at!",
                  (extract(epoch FROM closed_from) * 1000000)::bigint AS "closed_from!",
                  (extract(epoch FROM closed_until) * 1000000)::bigint AS "closed_until!"
           FROM tombstone WHERE leaf IS NULL ORDER BY at LIMIT $1"#,
        most,
    )
    .fetch_all(connection)
    .await?;
    let tombstones = rows.into_iter().map(|row| row.deleted().tombstone);
    Ok(tombstones.collect())
}

impl Row {
    fn deleted(self) -> Deleted {
        Deleted {
            tombstone: Tombstone {
                id: self.id,
                namespace: self.namespace,
                at: Timestamp(self.at),
                reason: self.reason,
                runs: self.runs,
                closed_from: Timestamp(self.closed_from),
                closed_until: Timestamp(self.closed_until),
                events: self.events,
                bytes: self.bytes,
                run_id: self.run_id,
                workflow_id: self.workflow_id,
                hash: self.hash,
                runs_hash: self.runs_hash,
                archive: self.archive,
            },
            leaf: self.leaf.map(i64::unsigned_abs),
            run_ids: self.run_ids,
        }
    }
}

/// Returns which tiles were deleted.
pub(crate) async fn pruned(pool: &PgPool) -> Result<Vec<Pruned>, Error> {
    let rows = sqlx::query!("SELECT id, tiles FROM seal_pruned ORDER BY id")
        .fetch_all(pool)
        .await?;
    let pruned = rows.into_iter().map(|row| Pruned {
        id: row.id,
        tiles: row.tiles,
    });
    Ok(pruned.collect())
}
