//! Reads what is sealed.

use std::str::FromStr as _;

use sqlx::{PgConnection, PgExecutor};
use tlog_tiles::tlog;
use uuid::Uuid;

use crate::{
    seal::{
        Checkpoint, Entry, Note, Subject,
        tree::{Edge, TILE, TILE_HEIGHT},
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
                subject: Subject::of(seq).ok_or("a number is of no kind of entry")?,
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

/// Counts as Postgres does.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
