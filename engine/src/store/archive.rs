//! Reads the runs that are to be archived.

use history::Timestamp;
use serde_json::value::RawValue;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{Error, interval, retention::After};
use crate::limits::{ARCHIVE_HELD, ARCHIVE_LATE_AFTER};

/// Closed runs that a namespace keeps no longer.
#[derive(Debug)]
pub(crate) struct DueRuns {
    /// The namespace's name.
    pub(crate) namespace: String,
    /// The day, in UTC.
    pub(crate) day: String,
    pub(crate) runs: Vec<Due>,
    /// Where there may be more.
    pub(crate) next: Option<After>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
    pub(crate) workflow_id: String,
    pub(crate) closed_at: Timestamp,
    /// It has been due for minutes.
    pub(crate) is_late: bool,
    /// The number of its last row of history, if it has any.
    pub(crate) last_seq: Option<i32>,
    /// Its row of `execution`, as JSON.
    pub(crate) execution: Box<RawValue>,
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

/// Returns the name of the archive that has what was archived so far.
pub(crate) async fn name(pool: &PgPool) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!("SELECT archive FROM cluster")
        .fetch_one(pool)
        .await?)
}

/// Notes which archive it is from now on.
pub(crate) async fn set_name(pool: &PgPool, name: Uuid) -> Result<(), Error> {
    sqlx::query!("UPDATE cluster SET archive = $1", name)
        .execute(pool)
        .await?;
    Ok(())
}

/// Returns closed runs that a namespace keeps no longer and that owe nobody anything, those first that closed first: at most so many, and one at least of
/// at most so many bytes.
pub(crate) async fn due(
    pool: &PgPool,
    namespace: i16,
    now: Timestamp,
    after: After,
    most: i32,
    most_bytes: i64,
) -> Result<DueRuns, Error> {
    let about = sqlx::query!(
        r#"SELECT n.name, to_char(t.now AT TIME ZONE 'UTC', 'YYYY/MM/DD') AS "day!",
                  (extract(epoch FROM t.now - n.retention) * 1000000)::bigint AS closed_before
           FROM namespace n
           CROSS JOIN (SELECT least(clock_timestamp(), 'epoch'::timestamptz + $2::bigint * interval '1 microsecond')) AS t (now)
           WHERE n.id = $1"#,
        namespace,
        now.0,
    )
    .fetch_one(pool)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT e.shard, e.run_id, e.workflow_id, h.seq AS "last_seq?", to_jsonb(e)::text AS "execution!",
                  (extract(epoch FROM d.closed_at) * 1000000)::bigint AS "closed_at!",
                  d.closed_at < m.closed_before - $6::interval AS "is_late!", d.of AS "of!"
           FROM (SELECT 'epoch'::timestamptz + $2::bigint * interval '1 microsecond') AS m (closed_before)
           CROSS JOIN LATERAL (
               SELECT x.*, sum(x.bytes) OVER (ORDER BY x.closed_at, x.run_id) - x.bytes AS bytes_before, count(*) OVER () AS of
               FROM due_runs($1, m.closed_before, $3, 'epoch'::timestamptz + $4::bigint * interval '1 microsecond', $5) AS x
           ) AS d
           JOIN execution e ON e.shard = d.shard AND e.run_id = d.run_id
           LEFT JOIN LATERAL (
               SELECT y.seq FROM history y WHERE y.shard = e.shard AND y.run_id = e.run_id ORDER BY y.seq DESC LIMIT 1
           ) AS h ON true
           WHERE d.bytes_before < $7::bigint
           ORDER BY d.closed_at, d.run_id"#,
        namespace,
        about.closed_before,
        most,
        after.closed_at.0,
        after.run_id,
        interval(ARCHIVE_LATE_AFTER),
        most_bytes,
    )
    .fetch_all(pool)
    .await?;
    let (mut next, mut runs) = (None, Vec::with_capacity(rows.len()));
    let read = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    for row in rows {
        if row.of >= i64::from(most) || row.of > read {
            next = Some(After {
                closed_at: Timestamp(row.closed_at),
                run_id: row.run_id,
            });
        }
        runs.push(Due {
            shard: row.shard,
            run_id: row.run_id,
            workflow_id: row.workflow_id,
            closed_at: Timestamp(row.closed_at),
            is_late: row.is_late,
            last_seq: row.last_seq,
            execution: RawValue::from_string(row.execution).map_err(|error| Error::Corrupt {
                table: "execution",
                row: format!("run {}", row.run_id),
                problem: error.to_string(),
            })?,
        });
    }
    Ok(DueRuns {
        namespace: about.name,
        day: about.day,
        runs,
        next,
    })
}
