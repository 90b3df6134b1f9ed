//! Reads what a proof is made of.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    ops::RangeInclusive,
};

use history::{Namespace, RunId, Timestamp, WorkflowId};
use sqlx::{PgConnection, PgExecutor};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::log;
use crate::{
    limits::SEAL_PLACES_LOOK,
    seal::{
        Asked, Entry, Hashes,
        tree::{self, TILE, TILE_HEIGHT},
    },
    store::Error,
};

/// By how much the clock of an engine, which says when a run has closed, and that of the database, which says what is sealed, may differ, and how long a
/// commit may take, in microseconds.
pub(crate) const CLOCKS_DIFFER: i64 = 10_000_000;

/// Has a proof made of the hashes of inner nodes of the tree; `None` if there is no such proof.
pub(crate) async fn proof<T>(
    connection: &mut PgConnection,
    proof: impl Fn(&Hashes) -> Result<T, tlog::Error>,
) -> Result<Option<T>, Error> {
    Ok(proofs(connection, [proof]).await?.pop().flatten())
}

/// Returns the hashes that lead from entries to the root of a log of so many; `None` for each that a part of the log which is damaged is needed for.
pub(crate) async fn inclusions(
    connection: &mut PgConnection,
    size: u64,
    entries: &[u64],
) -> Result<Vec<Option<Vec<tlog::Hash>>>, Error> {
    let of = |entry: u64| move |hashes: &Hashes| tlog::prove_record(size, entry, hashes);
    let all = proofs(connection, entries.iter().map(|entry| of(*entry))).await;
    if !all.as_ref().is_err_and(Error::is_of_damage) {
        return all;
    }
    let mut inclusions = Vec::with_capacity(entries.len());
    for entry in entries {
        inclusions.push(match proof(connection, of(*entry)).await {
            Err(error) if error.is_of_damage() => {
                tracing::error!(
                    code = error.code(),
                    entry,
                    error = &error as &dyn std::error::Error,
                    "an entry of the sealed log can't be proved"
                );
                None
            }
            inclusion => inclusion?,
        });
    }
    Ok(inclusions)
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

/// Where in a log of so many the entries of runs are, by run and row.
pub(crate) type Places = BTreeMap<(Uuid, i32), u64>;

/// Returns the places of the entries that were sealed about when these runs had closed: their last ones, unless they were sealed late. None where that
/// is much of the log.
pub(crate) async fn places_by_close(
    executor: impl PgExecutor<'_>,
    run_ids: &[Uuid],
    closed: RangeInclusive<Timestamp>,
    size: u64,
) -> Result<Places, Error> {
    let rows = sqlx::query_as!(
        Found,
        r#"SELECT p.id AS "id!", p.seq AS "seq!", p.place AS "place!"
           FROM (
               SELECT coalesce((SELECT c.size FROM checkpoint c WHERE c.complete_until < 'epoch'::timestamptz + $2::bigint * interval '1 microsecond'
                                ORDER BY c.complete_until DESC LIMIT 1), 0) / 256,
                      coalesce((SELECT c.size FROM checkpoint c WHERE c.complete_until > 'epoch'::timestamptz + $3::bigint * interval '1 microsecond'
                                ORDER BY c.complete_until LIMIT 1), $4) / 256
           ) AS c (first, last)
           CROSS JOIN LATERAL sealed_places(
               $1, CASE WHEN c.last - c.first <= $5 THEN ARRAY(SELECT generate_series(c.first, c.last)) ELSE '{}' END, $4) AS p"#,
        run_ids,
        closed.start().0.saturating_sub(CLOCKS_DIFFER),
        closed.end().0.saturating_add(CLOCKS_DIFFER),
        log::signed(size),
        SEAL_PLACES_LOOK,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Found::read).collect())
}

/// Returns the places of all entries of these runs.
pub(crate) async fn places(
    executor: impl PgExecutor<'_>,
    run_ids: &[Uuid],
    size: u64,
) -> Result<Places, Error> {
    let rows = sqlx::query_as!(
        Found,
        r#"SELECT p.id AS "id!", p.seq AS "seq!", p.place AS "place!"
           FROM sealed_places($1, ARRAY(
               SELECT DISTINCT y.n
               FROM unnest($1::uuid[]) AS x (id)
               CROSS JOIN LATERAL (SELECT z.n FROM seal_tile z WHERE z.span @> run_milliseconds(x.id) OFFSET 0) AS y
           ), $2) AS p"#,
        run_ids,
        log::signed(size),
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Found::read).collect())
}

struct Found {
    id: Uuid,
    seq: i32,
    place: i64,
}

impl Found {
    fn read(self) -> ((Uuid, i32), u64) {
        ((self.id, self.seq), self.place.unsigned_abs())
    }
}

/// An entry of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryOfRun {
    /// Where in the log it is.
    pub(crate) place: u64,
    /// Which row of the run it is of, and that row's hash.
    pub(crate) seq: i32,
    pub(crate) hash: Vec<u8>,
    /// It closes the run.
    pub(crate) closes: bool,
}

/// Returns the entries of a run in a log of so many: that of its last row first, and that which was first of several.
pub(crate) async fn entries_of(
    executor: impl PgExecutor<'_>,
    run_id: RunId,
    size: u64,
) -> Result<Vec<EntryOfRun>, Error> {
    let rows = sqlx::query!(
        r#"SELECT 256 * t.n + u.place - 1 AS "place!", r.row AS "seq!", u.hash AS "hash!", u.seq < 0 AS "closes!"
           FROM seal_tile t
           CROSS JOIN LATERAL unnest(t.ids, t.seqs, t.hashes) WITH ORDINALITY AS u (id, seq, hash, place)
           CROSS JOIN LATERAL sealed_row(u.seq) AS r (row)
           WHERE t.span @> run_milliseconds($1) AND u.id = $1 AND r.row IS NOT NULL AND 256 * t.n + u.place <= $2
           ORDER BY r.row DESC, 1"#,
        run_id.0,
        log::signed(size),
    )
    .fetch_all(executor)
    .await?;
    let entries = rows.into_iter().map(|row| EntryOfRun {
        place: row.place.unsigned_abs(),
        seq: row.seq,
        hash: row.hash,
        closes: row.closes,
    });
    Ok(entries.collect())
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

#[cfg(test)]
mod tests {
    use super::{
        super::super::{database, session::Pool},
        *,
    };

    const SECOND: i64 = 1_000_000;

    #[tokio::test]
    async fn entries_are_found_about_when_their_runs_closed_and_late_ones_where_they_are() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Visibility);
        // A tile a minute, with a run that closed in it, the first of which is sealed once more in the last.
        sqlx::raw_sql(
            "CREATE FUNCTION pg_temp.run(minute bigint) RETURNS uuid LANGUAGE sql AS
                 $$ SELECT (lpad(to_hex(60000 * minute), 12, '0') || '7000' || '8000' || lpad(minute::text, 12, '0'))::uuid $$;
             INSERT INTO seal_tile
             SELECT n, int8range(0, 60000 * n, '[]'), array_fill(0::smallint, ARRAY[256]),
                    ARRAY[pg_temp.run(n), CASE n WHEN 9 THEN pg_temp.run(0) ELSE gen_random_uuid() END] || array_fill(gen_random_uuid(), ARRAY[254]),
                    array_fill(3, ARRAY[256]), array_fill('x'::bytea, ARRAY[256])
             FROM generate_series(0, 9) n;
             INSERT INTO checkpoint
             SELECT n, 256 * (n + 1), sha256('x'), to_timestamp(60 * (n + 1)), to_timestamp(60 * (n + 1)), '' FROM generate_series(0, 9) n",
        )
        .execute(&pool)
        .await
        .unwrap();
        let run = |minute: u64| {
            let id = format!("{:012x}700080{minute:014}", 60_000 * minute);
            Uuid::parse_str(&id).unwrap()
        };
        let runs = [run(0), run(4), run(5)];
        let closed = |from: i64, to: i64| Timestamp(from * SECOND)..=Timestamp(to * SECOND);

        let about = places_by_close(&pool, &runs, closed(265, 330), 2560).await;
        let first = places_by_close(&pool, &runs, closed(5, 15), 2560).await;
        let of_less = places_by_close(&pool, &runs, closed(265, 330), 1280).await;
        let all = places(&pool, &runs, 2560).await;

        let place = |minute: u64| ((run(minute), 3), 256 * minute);
        assert_eq!(about.unwrap(), Places::from([place(4), place(5)]));
        assert_eq!(first.unwrap(), Places::from([place(0)]));
        assert_eq!(of_less.unwrap(), Places::from([place(4)]));
        let all = all.unwrap();
        assert_eq!(all.keys().count(), 3);
        assert_eq!((all[&(run(4), 3)], all[&(run(5), 3)]), (1024, 1280));
    }
}
