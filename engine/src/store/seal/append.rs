//! Appends entries to the sealed log.

use sqlx::PgConnection;

use super::log::{self, signed};
use crate::{
    seal::{
        Entry, Subject,
        tree::{Edge, Node, TILE},
    },
    store::Error,
};

/// Appends entries behind the edge, which goes with them.
pub(super) async fn append(
    connection: &mut PgConnection,
    edge: &mut Edge,
    entries: &[Entry],
) -> Result<(), Error> {
    let mut rest = entries;
    let mut nodes = Vec::new();
    while !rest.is_empty() {
        let n = edge.size() / TILE;
        let has = edge.size() % TILE;
        let mut tile = Vec::new();
        if has > 0 {
            tile = log::tile(&mut *connection, n).await?;
            // What is behind the edge was never sealed.
            tile.truncate(usize::try_from(has).unwrap_or(usize::MAX));
        }
        let room = usize::try_from(TILE - has).unwrap_or(usize::MAX);
        let (now, later) = rest.split_at(room.min(rest.len()));
        for entry in now {
            tile.push(*entry);
            nodes.extend(edge.push(0, entry.leaf()));
        }
        write(connection, n, &tile).await?;
        rest = later;
    }
    write_nodes(connection, &nodes).await
}

async fn write(connection: &mut PgConnection, n: u64, tile: &[Entry]) -> Result<(), Error> {
    let shards: Vec<i16> = tile.iter().map(|entry| entry.shard).collect();
    let ids: Vec<_> = tile.iter().map(|entry| entry.id).collect();
    let runs = || {
        let entries = tile.iter();
        let runs = entries.filter(|entry| matches!(entry.subject, Subject::History { .. }));
        runs.map(|entry| entry.id)
    };
    let seqs: Vec<_> = (tile.iter()).map(|entry| entry.subject.number()).collect();
    let hashes: Vec<Vec<u8>> = (tile.iter()).map(|entry| entry.hash.to_vec()).collect();
    sqlx::query!(
        "INSERT INTO seal_tile AS t (n, span, shards, ids, seqs, hashes)
         SELECT $1, coalesce(int8range(run_milliseconds($2), run_milliseconds($3), '[]'), 'empty'), $4, $5, $6, $7
         ON CONFLICT (n) DO UPDATE
         SET span = EXCLUDED.span, shards = EXCLUDED.shards, ids = EXCLUDED.ids, seqs = EXCLUDED.seqs, hashes = EXCLUDED.hashes",
        signed(n),
        runs().min(),
        runs().max(),
        &shards,
        &ids,
        &seqs,
        &hashes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_nodes(connection: &mut PgConnection, nodes: &[Node]) -> Result<(), Error> {
    if nodes.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = nodes.iter().map(|node| i16::from(node.level)).collect();
    let ns: Vec<i64> = nodes.iter().map(|node| signed(node.n)).collect();
    let hashes: Vec<Vec<u8>> = nodes.iter().map(|node| node.hash.0.to_vec()).collect();
    sqlx::query!(
        "INSERT INTO seal_node (level, n, hash)
         SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
         ON CONFLICT (level, n) DO UPDATE SET hash = EXCLUDED.hash",
        &levels,
        &ns,
        &hashes,
    )
    .execute(connection)
    .await?;
    Ok(())
}
