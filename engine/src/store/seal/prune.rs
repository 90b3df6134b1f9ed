//! Deletes tiles of the log all of whose runs are deleted on record. The server's own functions look for them, and somebody may have changed those: what
//! is deleted is what the root says, and named by deletions that are.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    audit,
    log::{self, signed},
};
use crate::{
    limits::{
        SEAL_PRUNE_AT_ONCE, SEAL_PRUNE_LEAST, SEAL_PRUNE_LOOK, SEAL_PRUNE_MAX, VISIBILITY_TIMEOUT,
    },
    seal::{
        Asked, Entry, Hashes, Subject, hash_of_tiles, hash_of_uuids,
        tree::{self, Edge, TILE, TILE_HEIGHT},
    },
    store::Error,
};

/// What was deleted.
#[derive(Debug, Default)]
struct Gone {
    tiles: Vec<i64>,
    /// When the runs that they name were begun, as a multirange of milliseconds.
    begun: Option<String>,
}

/// Deletes tiles in front of one all of whose runs are deleted, of a log as it is to be signed; returns the entry that says so. The signature does not wait
/// for it: where it takes too long, those that were looked at are left for the next round.
pub(super) async fn prune(
    connection: &mut PgConnection,
    edge: &Edge,
    before_tile: u64,
) -> Result<Option<Entry>, Error> {
    let before_tile = signed(before_tile);
    let gone = in_time(connection, async |connection: &mut PgConnection| {
        delete(connection, edge, before_tile).await
    });
    let Some(gone) = gone.await? else {
        sqlx::query!(
            "UPDATE seal SET prune_from = prune_from + $1::integer",
            SEAL_PRUNE_LOOK
        )
        .execute(connection)
        .await?;
        return Ok(None);
    };
    let forgotten = async |connection: &mut PgConnection| {
        let forgotten = sqlx::query!(
            "SELECT FROM forget_deleted_runs($1, $2::text::int8multirange)",
            before_tile,
            gone.begun,
        );
        forgotten.execute(connection).await?;
        Ok(())
    };
    in_time(connection, forgotten).await?;
    if gone.tiles.is_empty() {
        return Ok(None);
    }
    let id = sqlx::query_scalar!(
        "INSERT INTO seal_pruned (tiles, leaf) VALUES ($1, $2) RETURNING id",
        &gone.tiles,
        signed(edge.size()),
    )
    .fetch_one(connection)
    .await?;
    Ok(Some(Entry {
        shard: 0,
        id,
        subject: Subject::Pruned,
        hash: hash_of_tiles(&gone.tiles),
    }))
}

async fn delete(
    connection: &mut PgConnection,
    edge: &Edge,
    before_tile: i64,
) -> Result<Gone, Error> {
    let give_up_at = Instant::now() + SEAL_PRUNE_MAX;
    let wanted = sqlx::query_scalar!(
        r#"SELECT gone AS "tiles!" FROM prunable_tiles($1, $2, $3)"#,
        before_tile,
        SEAL_PRUNE_LOOK,
        SEAL_PRUNE_LEAST,
    )
    .fetch_one(&mut *connection)
    .await?;
    // In which a checkpoint ends it could not be proved any more that the log was only appended to since.
    let kept = sqlx::query_scalar!(
        r#"SELECT size / 256 AS "tile!" FROM checkpoint WHERE size % 256 <> 0 AND size / 256 = ANY ($1)"#,
        &wanted
    )
    .fetch_all(&mut *connection)
    .await?;
    let may_go = |n: &u64| signed(*n) < before_tile && !kept.contains(&signed(*n));
    let wanted = wanted.iter().filter_map(|n| u64::try_from(*n).ok());
    let wanted: Vec<u64> = wanted.filter(may_go).collect();
    let mut tiles = Vec::new();
    for some in wanted.chunks(SEAL_PRUNE_AT_ONCE) {
        if Instant::now() > give_up_at {
            break;
        }
        let deleted = deleted(connection, edge, some).await?;
        if deleted.len() < some.len() {
            tracing::error!(
                code = "CORRUPT_ROW",
                tiles = some.len(),
                deleted = deleted.len(),
                "tiles of the sealed log are not what was signed, or name runs that no deletion on record does, and are kept"
            );
        }
        tiles.extend(deleted);
    }
    if tiles.is_empty() {
        return Ok(Gone::default());
    }
    let begun = sqlx::query_scalar!(
        "WITH gone AS (DELETE FROM seal_tile t WHERE t.n = ANY ($1) RETURNING t.span),
              begun AS (SELECT range_agg(g.span) AS all FROM gone g)
         UPDATE seal SET forget = forget + coalesce(b.all, '{}') FROM begun b
         RETURNING b.all::text",
        &tiles
    )
    .fetch_one(connection)
    .await?;
    Ok(Gone { tiles, begun })
}

/// Returns those of some tiles that are what the root says, and all of whose runs deletions name that are.
async fn deleted(
    connection: &mut PgConnection,
    edge: &Edge,
    wanted: &[u64],
) -> Result<Vec<i64>, Error> {
    let tiles = sealed(connection, edge, wanted.iter().copied().collect()).await?;
    let of_history = |entry: &&Entry| matches!(entry.subject, Subject::History { .. });
    let runs: HashSet<Uuid> = (tiles.values().flatten())
        .filter(of_history)
        .map(|entry| entry.id)
        .collect();
    let mut said = Vec::new();
    let numbers: Vec<i64> = wanted.iter().map(|n| signed(*n)).collect();
    {
        let mut rows = audit::deleted_of_tiles(&mut *connection, &numbers, signed(edge.size()));
        while let Some(row) = rows.try_next().await? {
            let run_ids = row.run_ids.unwrap_or_default();
            if row.tombstone.runs_hash != hash_of_uuids(&run_ids) {
                continue;
            }
            let of_tiles: Vec<Uuid> = run_ids.into_iter().filter(|id| runs.contains(id)).collect();
            if let Some(leaf) = row.leaf.filter(|_| !of_tiles.is_empty()) {
                let entry = Entry {
                    shard: 0,
                    id: row.tombstone.id,
                    subject: Subject::Tombstone,
                    hash: row.tombstone.digest(),
                };
                said.push((leaf, entry, of_tiles));
            }
        }
    }
    let leaves = said.iter().map(|(leaf, ..)| leaf / TILE).collect();
    let entries = sealed(connection, edge, leaves).await?;
    let is_sealed = |(leaf, expected, _): &(u64, Entry, Vec<Uuid>)| {
        let at = usize::try_from(leaf % TILE).unwrap_or(usize::MAX);
        let entry = entries.get(&(leaf / TILE)).and_then(|tile| tile.get(at));
        entry == Some(expected)
    };
    let named = said.into_iter().filter(is_sealed);
    let named: HashSet<Uuid> = named.flat_map(|(_, _, run_ids)| run_ids).collect();
    let is_deleted = |entry: &Entry| of_history(&entry) && named.contains(&entry.id);
    let gone = tiles.iter().filter(|(_, entries)| {
        entries.len() == tree::TILE_ENTRIES && entries.iter().all(is_deleted)
    });
    Ok(gone.map(|(n, _)| signed(*n)).collect())
}

/// Returns the entries of those of some tiles that are what the root says.
async fn sealed(
    connection: &mut PgConnection,
    edge: &Edge,
    wanted: BTreeSet<u64>,
) -> Result<BTreeMap<u64, Vec<Entry>>, Error> {
    let (size, root) = (edge.size(), edge.root());
    let mut read = wanted.clone();
    // What the root is made of, beside full tiles.
    read.insert(size / TILE);
    let mut tiles = log::tiles(&mut *connection, &read).await?;
    if let Some(last) = tiles.get_mut(&(size / TILE)) {
        last.truncate(usize::try_from(size % TILE).unwrap_or(usize::MAX));
    }
    let leaves: BTreeMap<u64, Vec<tlog::Hash>> = tiles
        .iter()
        .map(|(n, tile)| (*n, tile.iter().map(Entry::leaf).collect()))
        .collect();
    // A proof of the first entry of a tile is made of all others of it.
    let proof = |n: u64| move |hashes: &Hashes| tlog::prove_record(size, n * TILE, hashes);
    let nothing = Hashes::default();
    let asked = wanted.iter().filter_map(|n| match nothing.ask(proof(*n))? {
        Asked::Wants(indexes) => Some(indexes),
        Asked::Proof(_) => None,
    });
    let (of_nodes, of_tiles): (BTreeSet<u64>, BTreeSet<u64>) = asked
        .flatten()
        .partition(|index| tlog::split_stored_hash_index(*index).0 >= TILE_HEIGHT);
    let mut known = log::subtrees(connection, &of_nodes).await?;
    for index in of_tiles {
        let (height, n) = tlog::split_stored_hash_index(index);
        let from = n << height;
        let first = usize::try_from(from % TILE).unwrap_or(usize::MAX);
        let parts = leaves
            .get(&(from / TILE))
            .and_then(|leaves| leaves.get(first..first + (1 << height)));
        if let Some(hash) = parts.and_then(|parts| tree::perfect(parts.to_vec())) {
            known.insert(index, hash);
        }
    }
    let known = Hashes::new(known);
    let is_right = |n: u64| {
        let (Some(Asked::Proof(path)), Some(first)) = (
            known.ask(proof(n)),
            leaves.get(&n).and_then(|leaves| leaves.first()),
        ) else {
            return false;
        };
        tlog::check_record(&path, size, root, n * TILE, *first).is_ok()
    };
    tiles.retain(|n, _| wanted.contains(n) && is_right(*n));
    Ok(tiles)
}

/// Does something that may take only so long, and else is as if it had not been begun.
async fn in_time<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut savepoint = connection.begin().await?;
    limit(&mut savepoint, SEAL_PRUNE_MAX).await?;
    match work(&mut savepoint).await {
        Ok(done) => {
            savepoint.commit().await?;
            limit(connection, VISIBILITY_TIMEOUT).await?;
            Ok(Some(done))
        }
        Err(error) if error.is_of_a_wait() => {
            savepoint.rollback().await?;
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "some of what the sealed log says of deleted runs is kept for longer"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Limits what each statement of this transaction takes from now on.
async fn limit(connection: &mut PgConnection, most: Duration) -> Result<(), Error> {
    sqlx::query!(
        "SELECT set_config('statement_timeout', $1, true)",
        most.as_millis().to_string()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}
