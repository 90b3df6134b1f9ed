//! How long namespaces keep closed runs, and what is deleted.

use std::time::Duration;

use history::{RunId, Timestamp};
use sqlx::PgPool;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Error, interval, sqlstate::NO_ARCHIVE};
use crate::limits::{
    EXPIRE_AGAIN_AFTER, EXPIRE_TRIES_MAX, EXPIRED_AT_ONCE, EXPIRED_BYTES_AT_ONCE,
    SEAL_REFUSED_HOLDS,
};

/// Why runs are deleted, as `tombstone` has it.
const ASKED_FOR: i16 = 2;

/// Returns how long a namespace keeps closed runs; `None` is for ever.
pub(crate) async fn retention(pool: &PgPool, namespace: i16) -> Result<Option<Duration>, Error> {
    let micros = sqlx::query_scalar!(
        "SELECT (extract(epoch FROM retention) * 1000000)::bigint FROM namespace WHERE id = $1",
        namespace,
    )
    .fetch_one(pool)
    .await?;
    Ok(micros.map(|micros| Duration::from_micros(micros.unsigned_abs())))
}

/// Changes how long a namespace keeps closed runs.
pub(crate) async fn keep_for(
    pool: &PgPool,
    namespace: i16,
    retention: Option<Duration>,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE namespace SET retention = $2 WHERE id = $1",
        namespace,
        retention.map(interval) as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns the namespaces that do not keep closed runs for ever.
pub(crate) async fn forgetful(pool: &PgPool) -> Result<Vec<i16>, Error> {
    let all = sqlx::query_scalar!("SELECT id FROM namespace WHERE retention IS NOT NULL");
    Ok(all.fetch_all(pool).await?)
}

/// Says whether a process has found lately that the sealed log is not what was signed.
pub(crate) async fn is_log_refused(pool: &PgPool) -> Result<bool, Error> {
    // What a clock that was set back since has said is not believed for longer.
    let is_refused = sqlx::query_scalar!(
        r#"SELECT seal_refused_until BETWEEN t.now AND t.now + $1::interval AS "is_refused!"
           FROM cluster CROSS JOIN (SELECT clock_timestamp()) AS t (now)"#,
        interval(SEAL_REFUSED_HOLDS)
    );
    Ok(is_refused.fetch_one(pool).await?)
}

/// A place among the runs of a namespace, in the order of their close.
#[derive(Debug, Clone, Copy)]
pub(crate) struct After {
    pub(super) closed_at: Timestamp,
    pub(super) run_id: Uuid,
}

impl Default for After {
    /// Before all of them.
    fn default() -> Self {
        Self {
            closed_at: Timestamp(0),
            run_id: Uuid::nil(),
        }
    }
}

/// Deletes some of the closed runs that a namespace keeps no longer, at most [`EXPIRED_AT_ONCE`], those first that closed first behind a place, which
/// goes on; returns how many. None while another process is about it.
pub(crate) async fn expire(
    pool: &PgPool,
    namespace: i16,
    now: Timestamp,
    after: &mut After,
) -> Result<i32, Error> {
    let expired = sqlx::query!(
        r#"SELECT deleted, (extract(epoch FROM last_closed) * 1000000)::bigint AS last_closed, last_run
           FROM expire_runs($1, 'epoch'::timestamptz + $2::bigint * interval '1 microsecond', $3, $4,
                            after_closed => 'epoch'::timestamptz + $5::bigint * interval '1 microsecond', after_run => $6)"#,
        namespace,
        now.0,
        EXPIRED_AT_ONCE,
        EXPIRED_BYTES_AT_ONCE,
        after.closed_at.0,
        after.run_id,
    )
    .fetch_one(pool)
    .await
    .map_err(|error| match error {
        sqlx::Error::Database(said) if said.code().is_some_and(|code| code == NO_ARCHIVE) => {
            Error::NoArchive
        }
        error => error.into(),
    })?;
    if let Some((closed_at, run_id)) = expired.last_closed.zip(expired.last_run) {
        *after = After {
            closed_at: Timestamp(closed_at),
            run_id,
        };
    }
    Ok(expired.deleted.unwrap_or(0))
}

/// From now on no process deletes runs that are kept no longer but with an archive. Says whether that is news.
pub(crate) async fn begin_archive(pool: &PgPool) -> Result<bool, Error> {
    let done = sqlx::query!("UPDATE cluster SET archives = true WHERE NOT archives")
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes those of these runs that a namespace keeps no longer, whose histories are in the archive. Says whether any is gone.
pub(crate) async fn expire_archived(
    pool: &PgPool,
    namespace: i16,
    now: Timestamp,
    run_ids: &[Uuid],
    object: &str,
) -> Result<bool, Error> {
    let (mut gone, mut busy) = (false, 0);
    loop {
        let deleted = sqlx::query_scalar!(
            "SELECT deleted FROM expire_runs($1, 'epoch'::timestamptz + $2::bigint * interval '1 microsecond', $3, $4, $5, $6)",
            namespace,
            now.0,
            EXPIRED_AT_ONCE,
            EXPIRED_BYTES_AT_ONCE,
            run_ids,
            object,
        );
        match deleted.fetch_one(pool).await? {
            Some(0) => return Ok(gone),
            Some(_) => gone = true,
            // Who is about it takes a moment.
            None if busy < EXPIRE_TRIES_MAX => busy += 1,
            None => return Ok(gone),
        }
        sleep(EXPIRE_AGAIN_AFTER).await;
    }
}

/// Deletes a closed run that owes nobody anything; says whether it is gone.
pub(crate) async fn delete(pool: &PgPool, shard: i16, run_id: RunId) -> Result<bool, Error> {
    // A look that waits for nobody.
    let run = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM execution WHERE shard = $1 AND run_id = $2) AS "is_there!",
                  EXISTS (SELECT FROM outbox WHERE shard = $1 AND run_id = $2) AS "owes!""#,
        shard,
        run_id.0,
    )
    .fetch_one(pool)
    .await?;
    if !run.is_there || run.owes {
        return Ok(!run.is_there);
    }
    let deleted = sqlx::query_scalar!(
        "SELECT delete_runs($1, $2, $3)",
        &[shard],
        &[run_id.0],
        ASKED_FOR,
    )
    .fetch_one(pool)
    .await?;
    Ok(deleted == Some(1))
}

#[cfg(test)]
mod tests {
    use super::super::{database, session::Pool};

    #[tokio::test]
    async fn a_turn_looks_at_little_more_than_what_it_deletes() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Whole);
        // Each closed an hour ago or less.
        sqlx::raw_sql(
            "UPDATE namespace SET retention = '2 hours';
             INSERT INTO visibility (namespace, run_id, shard, workflow_id, workflow_type, task_queue, status, started_at, execution_at, closed_at)
             SELECT 1, gen_random_uuid(), 0, 'w-' || n, 'w', 'q', 2, t.at, t.at, t.at
             FROM generate_series(1, 20000) n, LATERAL (SELECT clock_timestamp() - n / 20000.0 * interval '1 hour' AS at) t;
             ANALYZE visibility",
        )
        .execute(&pool)
        .await
        .unwrap();
        let looked_at = "SELECT pg_stat_get_xact_blocks_fetched('visibility'::regclass)
                         + sum(pg_stat_get_xact_blocks_fetched(i.indexrelid))::bigint
                         FROM pg_index i WHERE i.indrelid = 'visibility'::regclass";
        let mut transaction = pool.begin().await.unwrap();

        let deleted: i32 = sqlx::query_scalar(
            "SELECT deleted FROM expire_runs(1::smallint, clock_timestamp(), 500, 1000000)",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        let pages: i64 = sqlx::query_scalar(looked_at)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();

        assert_eq!(deleted, 0);
        assert!(pages < 20, "{pages} pages");
    }
}
