//! Reads the runs that are to be archived.

use serde_json::value::RawValue;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{Error, interval};
use crate::limits::{ARCHIVE_HELD, ARCHIVE_LATE_AFTER};

/// Closed runs that a namespace keeps no longer.
#[derive(Debug)]
pub(crate) struct DueRuns {
    /// The namespace's name.
    pub(crate) namespace: String,
    /// The day, in UTC.
    pub(crate) day: String,
    pub(crate) runs: Vec<Due>,
    /// There may be more.
    pub(crate) is_full: bool,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
    pub(crate) workflow_id: String,
    /// It has been due for minutes.
    pub(crate) is_late: bool,
    /// The number of its last row of history.
    pub(crate) last_seq: i32,
    /// Its row of `execution`, as JSON.
    pub(crate) execution: Box<RawValue>,
}

impl DueRuns {
    pub(crate) fn run_ids(&self) -> Vec<Uuid> {
        self.runs.iter().map(|run| run.run_id).collect()
    }
}

/// Lets one process at a time archive, as long as what is returned is kept; `None` while another does.
pub(crate) async fn one_at_a_time(
    pool: &PgPool,
) -> Result<Option<Transaction<'static, Postgres>>, Error> {
    let mut transaction = pool.begin().await?;
    let held = ARCHIVE_HELD.as_millis().to_string();
    sqlx::query!(
        "SELECT set_config('idle_in_transaction_session_timeout', $1, true)",
        held
    )
    .fetch_one(&mut *transaction)
    .await?;
    // Locks with one key are members'; (1, 0) to (1, 2) are of partitions, the feed, and those that delete.
    let is_held = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(1, 3) AS "is_held!""#)
        .fetch_one(&mut *transaction)
        .await?;
    Ok(is_held.then_some(transaction))
}

/// Returns closed runs that a namespace keeps no longer and that owe nobody anything, those first that closed first, at most so many.
pub(crate) async fn due(pool: &PgPool, namespace: i16, most: i32) -> Result<DueRuns, Error> {
    let about = sqlx::query!(
        r#"SELECT name, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY/MM/DD') AS "day!" FROM namespace WHERE id = $1"#,
        namespace
    )
    .fetch_one(pool)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT e.shard, e.run_id, e.workflow_id, h.seq AS "last_seq!", to_jsonb(e)::text AS "execution!",
                  d.closed_at < clock_timestamp() - n.retention - $3::interval AS "is_late!"
           FROM due_runs($1, $2) AS d
           JOIN execution e ON e.shard = d.shard AND e.run_id = d.run_id
           JOIN namespace n ON n.id = e.namespace
           CROSS JOIN LATERAL (
               SELECT x.seq FROM history x WHERE x.shard = e.shard AND x.run_id = e.run_id ORDER BY x.seq DESC LIMIT 1
           ) AS h
           ORDER BY d.closed_at, d.run_id"#,
        namespace,
        most,
        interval(ARCHIVE_LATE_AFTER),
    )
    .fetch_all(pool)
    .await?;
    let is_full = usize::try_from(most).is_ok_and(|most| rows.len() >= most);
    let runs = rows.into_iter().map(|row| {
        Ok(Due {
            shard: row.shard,
            run_id: row.run_id,
            workflow_id: row.workflow_id,
            is_late: row.is_late,
            last_seq: row.last_seq,
            execution: RawValue::from_string(row.execution).map_err(|error| Error::Corrupt {
                table: "execution",
                row: format!("run {}", row.run_id),
                problem: error.to_string(),
            })?,
        })
    });
    Ok(DueRuns {
        namespace: about.name,
        day: about.day,
        runs: runs.collect::<Result<_, Error>>()?,
        is_full,
    })
}
