//! The table `batch_log`: what became of a batch whose answer was lost.

use foldhash::HashSet;
use history::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Term, acknowledged::Acknowledged, commit::Item};
use crate::limits::BATCH_LOG_KEPT;

/// What became of a batch whose answer was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is there, but for the starts that did not get their id.
    Committed(HashSet<RunId>),
    /// It is not there and never will be.
    NotCommitted,
    /// The process is no member any more.
    Fenced,
    /// A batch that was acknowledged before is missing: this is an earlier state of the database.
    Behind,
}

/// Ends the backend that had the batch, waits for its end by locking its slot, and looks for the batch's number.
/// Which of its starts did not get their id is for [`conflicts`] to say.
pub(super) async fn of(
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
        .query_opt(
            "SELECT epoch FROM slot WHERE member = $1 AND n = $2 FOR UPDATE",
            &[&owner, &slot],
        )
        .await?;
    if acknowledged.is_missing(&transaction).await? {
        return Ok(Fate::Behind);
    }
    if row.is_none_or(|row| row.get::<_, i64>(0) != epoch) {
        return Ok(Fate::Fenced);
    }
    let row = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM batch_log WHERE member = $1 AND slot = $2 AND batch = $3)",
            &[&owner, &slot, &batch],
        )
        .await?;
    transaction.commit().await?;
    Ok(if row.get(0) {
        Fate::Committed(HashSet::default())
    } else {
        Fate::NotCommitted
    })
}

/// Returns the runs of a committed batch that did not get their id.
pub(super) async fn conflicts(url: &str, items: &[Item]) -> Result<HashSet<RunId>, Error> {
    let client = super::connect::client(url).await?;
    let mut conflicts = HashSet::default();
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

/// Deletes the numbers of old batches.
pub(super) async fn delete_old(connection: &mut PgConnection, member: Uuid) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM batch_log b
         USING (SELECT slot, max(batch) AS latest FROM batch_log WHERE member = $1 GROUP BY slot) AS l
         WHERE b.member = $1 AND b.slot = l.slot AND b.batch < l.latest - $2::bigint",
        member,
        BATCH_LOG_KEPT
    )
    .execute(connection)
    .await?;
    Ok(())
}
