//! Which runs a taker puts to work.

use futures::TryStreamExt as _;
use history::{RunId, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Error, RunRef};

/// Returns the ids of the runs of these shards that are folded at takeover: open and not parked, or closed with something undelivered. Open runs
/// that started at or after `open_since` need not have a row in `open_run`.
pub(crate) async fn select_hot(
    pool: &PgPool,
    shards: &[i16],
    open_since: Timestamp,
) -> Result<Vec<RunRef>, Error> {
    let hot = sqlx::query!(
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!"
           FROM (
               -- Not the table "namespace": one that is missing there must not hide its runs.
               WITH RECURSIVE n AS (
                   SELECT min(namespace) AS id FROM execution
                   UNION ALL
                   SELECT (SELECT min(namespace) FROM execution WHERE namespace > n.id) FROM n WHERE n.id IS NOT NULL
               )
               SELECT e.shard, e.run_id
               FROM n
               JOIN LATERAL (SELECT * FROM execution WHERE namespace = n.id AND run_id >= $1) e ON e.closed_at IS NULL
               WHERE NOT EXISTS (SELECT FROM open_run o WHERE o.shard = e.shard AND o.run_id = e.run_id)
               UNION ALL
               SELECT shard, run_id FROM open_run WHERE NOT parked
               UNION ALL
               SELECT shard, run_id FROM outbox
           ) h
           WHERE h.shard = ANY ($2)"#,
        first_run_id(open_since),
        shards,
    )
    .fetch(pool)
    .map_ok(|row| RunRef {
        shard: row.shard,
        run_id: RunId(row.run_id),
    });
    Ok(hot.try_collect().await?)
}

/// Returns the smallest run id of a moment.
fn first_run_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from((at.0.max(0) / 1000).unsigned_abs()) << 80)
}
