//! Reads what is sealed, and writes what is signed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    str::FromStr as _,
};

use sqlx::{PgConnection, PgExecutor};
use tlog_tiles::tlog;
use uuid::Uuid;

use crate::{
    seal::{
        Checkpoint, Entry, Note, Subject,
        tree::{self, Edge, TILE, TILE_HEIGHT},
    },
    store::Error,
};

/// The latest checkpoint, as it is stored. Who has signed it is not looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest {
    /// It is the n-th, from 0.
    pub(crate) n: i64,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: Note,
}

/// Returns the name of the log.
pub(crate) async fn log_id(executor: impl PgExecutor<'_>) -> Result<Uuid, Error> {
    Ok(sqlx::query_scalar!("SELECT log FROM seal")
        .fetch_one(executor)
        .await?)
}

/// Returns the latest checkpoint up to the n-th.
pub(crate) async fn latest(
    executor: impl PgExecutor<'_>,
    until: i64,
) -> Result<Option<Latest>, Error> {
    let row = sqlx::query!(
        "SELECT n, note FROM checkpoint WHERE n <= $1 ORDER BY n DESC LIMIT 1",
        until,
    )
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let corrupt = |problem: String| Error::Corrupt {
        table: "checkpoint",
        row: format!("n {}", row.n),
        problem,
    };
    let note = Note::from_str(&row.note).map_err(|error| corrupt(error.to_string()))?;
    let checkpoint = Checkpoint::read(note.unverified());
    let checkpoint = checkpoint.map_err(|error| corrupt(error.to_string()))?;
    Ok(Some(Latest {
        n: row.n,
        checkpoint,
        note,
    }))
}

/// Returns a tile; an empty one if there is none.
pub(crate) async fn tile(executor: impl PgExecutor<'_>, n: u64) -> Result<Vec<Entry>, Error> {
    let row = sqlx::query!(
        "SELECT shards, ids, seqs, hashes FROM seal_tile WHERE n = $1",
        signed(n)
    )
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    entries(row.shards, row.ids, row.seqs, row.hashes).map_err(|problem| Error::Corrupt {
        table: "seal_tile",
        row: format!("n {n}"),
        problem: problem.to_owned(),
    })
}

/// Returns these tiles, those that are there and can be read.
pub(crate) async fn tiles(
    executor: impl PgExecutor<'_>,
    wanted: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, Vec<Entry>>, Error> {
    let wanted: Vec<i64> = wanted.iter().map(|n| signed(*n)).collect();
    let rows = sqlx::query!(
        "SELECT n, shards, ids, seqs, hashes FROM seal_tile WHERE n = ANY ($1)",
        &wanted
    )
    .fetch_all(executor)
    .await?;
    let tiles = rows.into_iter().filter_map(|row| {
        let entries = entries(row.shards, row.ids, row.seqs, row.hashes).ok()?;
        Some((row.n.unsigned_abs(), entries))
    });
    Ok(tiles.collect())
}

/// Returns the roots of perfect subtrees of whole tiles, by the indexes that `tlog` has for them; those of which all parts are there.
pub(crate) async fn subtrees(
    executor: impl PgExecutor<'_>,
    wanted: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, tlog::Hash>, Error> {
    let parts = |index: u64| {
        let (height, n) = tlog::split_stored_hash_index(index);
        let parts = 1_u64 << (height % TILE_HEIGHT);
        (height / TILE_HEIGHT, n * parts..(n + 1) * parts)
    };
    let (mut levels, mut from, mut until) = (Vec::new(), Vec::new(), Vec::new());
    for (level, range) in wanted.iter().map(|index| parts(*index)) {
        levels.push(i16::from(level));
        from.push(signed(range.start));
        until.push(signed(range.end));
    }
    let rows = sqlx::query!(
        r#"SELECT s.level AS "level!", s.n AS "n!", s.hash AS "hash!"
           FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS u (level, first, last)
           CROSS JOIN LATERAL (
               SELECT x.level, x.n, x.hash FROM seal_node x WHERE x.level = u.level AND x.n >= u.first AND x.n < u.last OFFSET 0
           ) AS s"#,
        &levels,
        &from,
        &until,
    )
    .fetch_all(executor)
    .await?;
    let nodes: HashMap<(i16, u64), tlog::Hash> = (rows.into_iter())
        .filter_map(|row| {
            let hash = tlog::Hash(row.hash.try_into().ok()?);
            Some(((row.level, row.n.unsigned_abs()), hash))
        })
        .collect();
    let subtrees = wanted.iter().filter_map(|index| {
        let (level, range) = parts(*index);
        let parts = range.map(|n| nodes.get(&(i16::from(level), n)).copied());
        let root = tree::perfect(parts.collect::<Option<_>>()?)?;
        Some((*index, root))
    });
    Ok(subtrees.collect())
}

/// Returns the entries of a tile.
pub(crate) fn entries(
    shards: Vec<i16>,
    ids: Vec<Uuid>,
    seqs: Vec<i32>,
    hashes: Vec<Vec<u8>>,
) -> Result<Vec<Entry>, &'static str> {
    if [shards.len(), seqs.len(), hashes.len()] != [ids.len(); 3] {
        return Err("its arrays are not of one length");
    }
    (shards.into_iter().zip(ids).zip(seqs).zip(hashes))
        .map(|(((shard, id), seq), hash)| {
            Ok(Entry {
                shard,
                id,
                subject: Subject::of(seq),
                hash: hash.try_into().map_err(|_| "a hash is not of 32 bytes")?,
            })
        })
        .collect()
}

/// Returns the right edge of the log when it had so many entries.
pub(crate) async fn edge(connection: &mut PgConnection, size: u64) -> Result<Edge, Error> {
    let mut edge = Edge::default();
    for level in (1..u64::BITS / u32::from(TILE_HEIGHT)).rev() {
        let height = level * u32::from(TILE_HEIGHT);
        let (from, until) = (edge.size() >> height, size >> height);
        for hash in nodes(&mut *connection, level, from..until).await? {
            edge.push(u8::try_from(height).unwrap_or(u8::MAX), hash);
        }
    }
    if !size.is_multiple_of(TILE) {
        let tile = tile(connection, size / TILE).await?;
        let rest = usize::try_from(size % TILE).unwrap_or(usize::MAX);
        let entries = tile.get(..rest).ok_or_else(|| Error::Corrupt {
            table: "seal_tile",
            row: format!("n {}", size / TILE),
            problem: format!("it has less than the {rest} entries that were sealed"),
        })?;
        for entry in entries {
            edge.push(0, entry.leaf());
        }
    }
    Ok(edge)
}

/// Returns nodes of a level.
pub(crate) async fn nodes(
    executor: impl PgExecutor<'_>,
    level: u32,
    n: std::ops::Range<u64>,
) -> Result<Vec<tlog::Hash>, Error> {
    if n.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_scalar!(
        "SELECT hash FROM seal_node WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n",
        i16::try_from(level).unwrap_or(i16::MAX),
        signed(n.start),
        signed(n.end),
    )
    .fetch_all(executor)
    .await?;
    let corrupt = |problem: &str| Error::Corrupt {
        table: "seal_node",
        row: format!("level {level} n {} to {}", n.start, n.end - 1),
        problem: problem.to_owned(),
    };
    if u64::try_from(rows.len()) != Ok(n.end - n.start) {
        return Err(corrupt("some are missing"));
    }
    rows.into_iter()
        .map(|hash| Some(tlog::Hash(hash.try_into().ok()?)))
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a hash is not of 32 bytes"))
}

/// Writes the n-th checkpoint.
pub(crate) async fn write(
    connection: &mut PgConnection,
    n: i64,
    checkpoint: &Checkpoint,
    note: &Note,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO checkpoint (n, size, root, at, complete_until, note)
         VALUES ($1, $2, $3, 'epoch'::timestamptz + $4::bigint * interval '1 microsecond', 'epoch'::timestamptz + $5::bigint * interval '1 microsecond', $6)",
        n,
        signed(checkpoint.size),
        checkpoint.root.0.as_slice(),
        checkpoint.at.0,
        checkpoint.complete_until.map(|until| until.0),
        note.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts as Postgres does.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
