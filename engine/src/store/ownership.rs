//! The tables `ownership`, `slot` and `batch_log`: who may write, and what was written.

use std::{collections::HashSet, time::Duration};

use history::{RunId, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Term, acknowledged::Acknowledged, commit::Item};
use crate::limits::BATCH_LOG_KEPT;

/// The advisory lock that the owner's session holds; a killed owner lets go of it at once. The number is ASCII for "coreason".
const OWNER_LOCK: i64 = 0x636f_7265_6173_6f6e;

/// The row of `ownership`, as a standby sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) owner: Option<Uuid>,
    pub(crate) address: String,
    pub(crate) expired: bool,
}

/// Returns who owns the shards.
pub(crate) async fn select_owner(connection: &mut PgConnection) -> Result<Seen, Error> {
    Ok(sqlx::query_as!(
        Seen,
        r#"SELECT owner, address, lease_until < clock_timestamp() AS "expired!" FROM ownership"#
    )
    .fetch_one(connection)
    .await?)
}

/// Waits for the owner's lock, for as long as it takes. It is held by the session.
pub(crate) async fn lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("SELECT pg_advisory_lock($1)", OWNER_LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends the recorded backends of the owner before, so that nothing of it is still under way, and waits until they are gone.
pub(crate) async fn end_recorded_backends(connection: &mut PgConnection) -> Result<(), Error> {
    // A pid may have been given to another session since, so only sessions of ours are ended.
    sqlx::query!(
        r#"SELECT pg_terminate_backend(a.pid, 5000) AS "ended!"
           FROM ownership o, pg_stat_activity a
           WHERE a.pid = ANY (o.backends) AND a.pid <> pg_backend_pid() AND a.application_name LIKE 'coreason%'"#
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Ends a session that was given the lock and has done nothing since, for so long: its process is gone, or can't be reached.
pub(crate) async fn end_idle_lock_holder(
    connection: &mut PgConnection,
    idle: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        r#"SELECT pg_terminate_backend(a.pid, 5000) AS "ended!"
           FROM pg_locks l
           JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
           JOIN pg_stat_activity a ON a.pid = l.pid
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
             AND (l.classid::bigint << 32) + l.objid::bigint = $1
             AND a.application_name LIKE 'coreason%'
             AND a.state = 'idle' AND a.state_change < clock_timestamp() - $2 * interval '1 second'"#,
        OWNER_LOCK,
        idle.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Takes the shards and returns the new epoch, and since when open runs may have no row in `open_run`. Waits for a batch under way, because that one holds its slot's row.
pub(crate) async fn take(
    connection: &mut PgConnection,
    owner: Uuid,
    address: &str,
    lease: Duration,
) -> Result<(i64, Timestamp), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    let taken = sqlx::query!(
        r#"UPDATE ownership
         SET epoch = epoch + 1, owner = $1, address = $2, backends = ARRAY[pg_backend_pid()],
             lease_until = clock_timestamp() + $3 * interval '1 second'
         RETURNING epoch, (extract(epoch FROM greatest(open_since, 'epoch')) * 1000000)::bigint AS "open_since!""#,
        owner,
        address,
        lease.as_secs_f64(),
    )
    .fetch_one(&mut *transaction)
    .await?;
    let epoch = taken.epoch;
    sqlx::query!("UPDATE slot SET owner = $1, epoch = $2", owner, epoch)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("DELETE FROM batch_log WHERE epoch < $1", epoch)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((epoch, Timestamp(taken.open_since)))
}

/// Renews the lease, writes since when open runs may have no row in `open_run`, and returns the database's time; `None` when the shards belong to somebody else.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    term: Term,
    lease: Duration,
    open_since: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let now = sqlx::query_scalar!(
        r#"UPDATE ownership
           SET lease_until = clock_timestamp() + $3 * interval '1 second',
               open_since = timestamptz 'epoch' + $4::bigint * interval '1 microsecond'
           WHERE owner = $1 AND epoch = $2
           RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "now!""#,
        term.owner,
        term.epoch,
        lease.as_secs_f64(),
        open_since.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(now.map(Timestamp))
}

/// Ends the lease, so that another process need not wait for it.
pub(crate) async fn release(connection: &mut PgConnection, term: Term) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE ownership SET lease_until = '-infinity' WHERE owner = $1 AND epoch = $2",
        term.owner,
        term.epoch
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the numbers of old batches.
pub(crate) async fn delete_old_batches(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM batch_log b
         USING (SELECT slot, epoch, max(batch) AS latest FROM batch_log GROUP BY slot, epoch) AS l
         WHERE b.slot = l.slot AND b.epoch = l.epoch AND b.batch < l.latest - $1::bigint",
        BATCH_LOG_KEPT
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records a backend of the owner, for a taker to end.
pub(crate) async fn record_backend(
    url: &str,
    owner: Uuid,
    epoch: i64,
    backend: i32,
) -> Result<(), Error> {
    let client = super::connect::client(url).await?;
    client
        .execute(
            "UPDATE ownership SET backends = backends || $3::integer WHERE owner = $1 AND epoch = $2",
            &[&owner, &epoch, &backend],
        )
        .await?;
    Ok(())
}

/// What became of a batch whose answer was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is there, but for the starts that did not get their id.
    Committed(HashSet<RunId>),
    /// It is not there and never will be.
    NotCommitted,
    /// Another process owns the slot.
    Fenced,
    /// A batch that was acknowledged before is missing: this is an earlier state of the database.
    Behind,
}

/// Ends the backend that had the batch, waits for its end by locking its slot, and looks for the batch's number.
/// Which of its starts did not get their id is for [`conflicts`] to say.
pub(super) async fn fate(
    url: &str,
    backend: i32,
    slot: i16,
    Term { owner, epoch }: Term,
    batch: i64,
    acknowledged: &Acknowledged,
) -> Result<Fate, Error> {
    let mut client = super::connect::client(url).await?;
    client
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = $1 AND application_name LIKE 'coreason%'",
            &[&backend],
        )
        .await?;
    let transaction = client.transaction().await?;
    let row = transaction
        .query_one(
            "SELECT owner, epoch FROM slot WHERE n = $1 FOR UPDATE",
            &[&slot],
        )
        .await?;
    if acknowledged.is_missing(&transaction).await? {
        return Ok(Fate::Behind);
    }
    if row.get::<_, Option<Uuid>>(0) != Some(owner) || row.get::<_, i64>(1) != epoch {
        return Ok(Fate::Fenced);
    }
    let row = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM batch_log WHERE slot = $1 AND epoch = $2 AND batch = $3)",
            &[&slot, &epoch, &batch],
        )
        .await?;
    transaction.commit().await?;
    Ok(if row.get(0) {
        Fate::Committed(HashSet::new())
    } else {
        Fate::NotCommitted
    })
}

/// Returns the runs of a committed batch that did not get their id.
pub(crate) async fn conflicts(url: &str, items: &[Item]) -> Result<HashSet<RunId>, Error> {
    let client = super::connect::client(url).await?;
    let mut conflicts = HashSet::new();
    for item in items {
        for start in &item.starts {
            let row = client
                .query_opt(
                    "SELECT 1 FROM execution WHERE shard = $1 AND run_id = $2",
                    &[&item.shard, &start.run_id.0],
                )
                .await?;
            if row.is_none() {
                conflicts.insert(start.run_id);
            }
        }
    }
    Ok(conflicts)
}
