//! Reads what a proof is made of.

use history::{Namespace, RunId, WorkflowId};
use sqlx::{PgConnection, PgExecutor};
use tlog_tiles::tlog;

use super::log;
use crate::{
    seal::{
        Asked, Hashes,
        tree::{self, TILE, TILE_HEIGHT},
    },
    store::Error,
};

/// Has a proof made of the hashes of inner nodes of the tree; `None` if there is no such proof.
pub(crate) async fn proof<T>(
    connection: &mut PgConnection,
    proof: impl Fn(&Hashes) -> Result<T, tlog::Error>,
) -> Result<Option<T>, Error> {
    let indexes = match Hashes::default().ask(&proof) {
        Some(Asked::Wants(indexes)) => indexes,
        Some(Asked::Proof(proof)) => return Ok(Some(proof)),
        None => return Ok(None),
    };
    let mut hashes = Vec::with_capacity(indexes.len());
    for index in &indexes {
        let (height, n) = tlog::split_stored_hash_index(*index);
        hashes.push(subtree(connection, height, n).await?);
    }
    match Hashes::new(indexes, hashes).ask(&proof) {
        Some(Asked::Proof(proof)) => Ok(Some(proof)),
        Some(Asked::Wants(_)) | None => Ok(None),
    }
}

/// Returns the root of the n-th perfect subtree of a height.
async fn subtree(connection: &mut PgConnection, height: u8, n: u64) -> Result<tlog::Hash, Error> {
    let level = height / TILE_HEIGHT;
    let parts = 1_u64 << (height % TILE_HEIGHT);
    let from = n * parts;
    let parts = if level == 0 {
        let tile = log::tile(connection, from / TILE).await?;
        let (skip, take) = (from % TILE, parts);
        let leaves = (0..)
            .zip(&tile.entries)
            .filter(|(n, _)| (skip..skip + take).contains(n));
        let leaves: Vec<_> = leaves.map(|(_, entry)| entry.leaf()).collect();
        if u64::try_from(leaves.len()) != Ok(take) {
            return Err(Error::Pruned(from / TILE));
        }
        leaves
    } else {
        log::nodes(connection, u32::from(level), from..from + parts).await?
    };
    Ok(tree::perfect(parts).unwrap_or_default())
}

/// Returns the place of the latest entry of a run in a log of so many, and which row it is of.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    run_id: RunId,
    size: u64,
) -> Result<Option<(u64, i32)>, Error> {
    let row = sqlx::query!(
        r#"SELECT 256 * t.n + u.place - 1 AS "place!", u.seq AS "seq!"
           FROM seal_tile t
           CROSS JOIN LATERAL unnest(t.ids, t.seqs) WITH ORDINALITY AS u (id, seq, place)
           WHERE t.last_id >= $1 AND t.first_id <= $1 AND u.id = $1 AND u.seq >= 0 AND 256 * t.n + u.place <= $2
           ORDER BY u.seq DESC, 1
           LIMIT 1"#,
        run_id.0,
        log::signed(size),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| (row.place.unsigned_abs(), row.seq)))
}

/// Returns the run that is meant: this one of a workflow, or its latest.
pub(crate) async fn run_of(
    executor: impl PgExecutor<'_>,
    shard: i16,
    namespace: &Namespace,
    workflow_id: &WorkflowId,
    run_id: Option<RunId>,
) -> Result<Option<RunId>, Error> {
    let run_id = sqlx::query_scalar!(
        "SELECT e.run_id
         FROM namespace n
         JOIN execution e ON e.shard = $1 AND e.namespace = n.id AND e.workflow_id = $3
         WHERE n.name = $2
           AND e.run_id = coalesce($4, (SELECT c.run_id FROM current_run c
                                        WHERE c.shard = $1 AND c.namespace = n.id AND c.workflow_id = $3))",
        shard,
        namespace.as_str(),
        workflow_id.as_str(),
        run_id.map(|run_id| run_id.0),
    )
    .fetch_optional(executor)
    .await?;
    Ok(run_id.map(RunId))
}

/// Returns the notes of the checkpoints up to the n-th that name another key, in order, at most so many.
pub(crate) async fn rotations(
    executor: impl PgExecutor<'_>,
    until: i64,
    most: i64,
) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        "SELECT note FROM checkpoint WHERE n <= $1 AND strpos(note, chr(10) || 'next-key ') > 0 ORDER BY n LIMIT $2",
        until,
        most
    )
    .fetch_all(executor)
    .await?)
}
