//! Reads what a proof is made of.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use history::{Namespace, RunId, WorkflowId};
use sqlx::{PgConnection, PgExecutor};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::log;
use crate::{
    seal::{
        Asked, Entry, Hashes,
        tree::{self, TILE, TILE_HEIGHT},
    },
    store::Error,
};

/// Has a proof made of the hashes of inner nodes of the tree; `None` if there is no such proof.
pub(crate) async fn proof<T>(
    connection: &mut PgConnection,
    proof: impl Fn(&Hashes) -> Result<T, tlog::Error>,
) -> Result<Option<T>, Error> {
    Ok(proofs(connection, [proof]).await?.pop().flatten())
}

/// Returns the hashes that lead from entries to the root of a log of so many.
pub(crate) async fn inclusions(
    connection: &mut PgConnection,
    size: u64,
    entries: &[u64],
) -> Result<Vec<Option<Vec<tlog::Hash>>>, Error> {
    let of = |entry: u64| move |hashes: &Hashes| tlog::prove_record(size, entry, hashes);
    proofs(connection, entries.iter().map(|entry| of(*entry))).await
}

/// Has proofs made, for which each tile is read once; `None` for each that there is not.
async fn proofs<T, P>(
    connection: &mut PgConnection,
    proofs: impl IntoIterator<Item = P>,
) -> Result<Vec<Option<T>>, Error>
where
    P: Fn(&Hashes) -> Result<T, tlog::Error>,
{
    let proofs: Vec<P> = proofs.into_iter().collect();
    let nothing = Hashes::default();
    let wanted: BTreeSet<u64> = (proofs.iter())
        .filter_map(|proof| match nothing.ask(proof)? {
            Asked::Wants(indexes) => Some(indexes),
            Asked::Proof(_) => None,
        })
        .flatten()
        .collect();
    let mut known = BTreeMap::new();
    let mut tiles = BTreeMap::new();
    for index in wanted {
        let (height, n) = tlog::split_stored_hash_index(index);
        known.insert(index, subtree(connection, &mut tiles, height, n).await?);
    }
    let known = Hashes::new(known);
    let made = proofs.iter().map(|proof| match known.ask(proof)? {
        Asked::Proof(proof) => Some(proof),
        Asked::Wants(_) => None,
    });
    Ok(made.collect())
}

/// Returns the root of the n-th perfect subtree of a height.
async fn subtree(
    connection: &mut PgConnection,
    tiles: &mut BTreeMap<u64, Vec<tlog::Hash>>,
    height: u8,
    n: u64,
) -> Result<tlog::Hash, Error> {
    let level = height / TILE_HEIGHT;
    let parts = 1_u64 << (height % TILE_HEIGHT);
    let from = n * parts;
    let parts = if level == 0 {
        let tile = from / TILE;
        let leaves = match tiles.entry(tile) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => {
                let read = log::tile(connection, tile).await?;
                new.insert(read.iter().map(Entry::leaf).collect())
            }
        };
        let first = usize::try_from(from % TILE).unwrap_or(usize::MAX);
        let last = first + usize::try_from(parts).unwrap_or(usize::MAX);
        let leaves = leaves.get(first..last);
        leaves.ok_or(Error::Pruned(tile))?.to_vec()
    } else {
        log::nodes(connection, u32::from(level), from..from + parts).await?
    };
    Ok(tree::perfect(parts).unwrap_or_default())
}

/// Returns the places of entries in a log of so many, by their run and row, of those runs that have one.
pub(crate) async fn places(
    executor: impl PgExecutor<'_>,
    run_ids: &[Uuid],
    size: u64,
) -> Result<BTreeMap<(Uuid, i32), u64>, Error> {
    let rows = sqlx::query!(
        r#"SELECT u.id AS "id!", u.seq AS "seq!", 256 * t.n + u.place - 1 AS "place!"
           FROM unnest($1::uuid[]) AS x (id)
           CROSS JOIN LATERAL (
               SELECT y.n, y.ids, y.seqs FROM seal_tile y WHERE y.span @> run_milliseconds(x.id) OFFSET 0
           ) AS t
           CROSS JOIN LATERAL unnest(t.ids, t.seqs) WITH ORDINALITY AS u (id, seq, place)
           WHERE u.id = x.id AND 256 * t.n + u.place <= $2"#,
        run_ids,
        log::signed(size),
    )
    .fetch_all(executor)
    .await?;
    let places = rows
        .into_iter()
        .map(|row| ((row.id, row.seq), row.place.unsigned_abs()));
    Ok(places.collect())
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
           WHERE t.span @> run_milliseconds($1) AND u.id = $1 AND u.seq >= 0 AND 256 * t.n + u.place <= $2
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

/// Returns the notes of the checkpoints up to the n-th that name another key, in order.
pub(crate) async fn rotations(
    executor: impl PgExecutor<'_>,
    until: i64,
) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        "SELECT note FROM checkpoint WHERE n <= $1 AND strpos(note, chr(10) || 'next-key ') > 0 ORDER BY n",
        until
    )
    .fetch_all(executor)
    .await?)
}
