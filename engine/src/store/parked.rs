//! Which parked runs are due, from `open_run`.

use std::sync::Arc;

use futures::TryStreamExt as _;
use history::{RunId, Timestamp};
use sqlx::PgPool;

use super::Error;
use crate::limits::PARKED_PAGE;

/// Parked runs whose deadlines are to be known.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// Those of these shards.
    pub(crate) shards: Arc<[i16]>,
    /// After this deadline, and of those with the same one after this run.
    pub(crate) after: (Timestamp, RunId),
    /// Before this one.
    pub(crate) before: Timestamp,
}

/// When a parked run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) shard: i16,
    pub(crate) run_id: RunId,
}

/// Returns the next parked runs that are due, in the order of their deadlines.
pub(crate) async fn select_parked_due(pool: &PgPool, window: &Window) -> Result<Vec<Due>, Error> {
    let due = sqlx::query!(
        r#"SELECT shard, run_id, (extract(epoch FROM due_at) * 1000000)::bigint AS "due_at!"
           FROM open_run
           WHERE parked AND due_at IS NOT NULL
             AND (due_at, run_id) > (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2)
             AND due_at < timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
             AND shard = ANY ($4)
           ORDER BY due_at, run_id
           LIMIT $5"#,
        window.after.0.0,
        window.after.1.0,
        window.before.0,
        &*window.shards,
        i64::try_from(PARKED_PAGE).unwrap_or(i64::MAX),
    )
    .fetch(pool)
    .map_ok(|row| Due {
        at: Timestamp(row.due_at),
        shard: row.shard,
        run_id: RunId(row.run_id),
    });
    Ok(due.try_collect().await?)
}
