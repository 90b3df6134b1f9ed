//! What became of a batch whose answer was lost, and the table `batch_log` that tells.

use foldhash::HashSet;
use history::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error, Term,
    acknowledged::{Held, Verdict, Witness},
    commit::Item,
    connect::{Address, Purpose, Session},
};
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
    /// The database failed over, or was restored, and lacks nothing that this process knows of.
    FailedOver,
}

impl Fate {
    /// Judges by what the database says, of itself and of the batch.
    pub(crate) fn judged(
        verdict: &Verdict,
        member: bool,
        committed: Option<HashSet<RunId>>,
    ) -> Self {
        match verdict {
            Verdict::Behind(_) => Self::Behind,
            Verdict::FailedOver { .. } => Self::FailedOver,
            Verdict::Sound if !member => Self::Fenced,
            Verdict::Sound => committed.map_or(Self::NotCommitted, Self::Committed),
        }
    }
}

/// Ends the session that had the batch, waits for its end by locking its slot, and looks for the batch's number: one statement, which
/// a client that freezes or vanishes leaves to itself.
pub(super) async fn of(
    address: &Address,
    witness: &Witness,
    slot: i16,
    term: Term,
    batch: i64,
    items: &[Item],
) -> Result<Fate, Error> {
    let Some(known) = witness.known() else {
        return Ok(Fate::Fenced);
    };
    let client = address
        .client(Session::Fate(term.owner, slot), Purpose::Control)
        .await?;
    let (shards, run_ids): (Vec<i16>, Vec<Uuid>) = items
        .iter()
        .flat_map(|item| item.starts.iter().map(|start| (item.shard, start.run_id.0)))
        .unzip();
    let row = client
        .query_one(
            "SELECT system, timeline, latest_epoch, batches, member, committed, conflicts
             FROM batch_fate($1, $2, $3, $4, $5, $6, $7)",
            &[
                &term.owner,
                &term.epoch,
                &slot,
                &batch,
                &Session::Commit(term.owner, slot).name(),
                &shards,
                &run_ids,
            ],
        )
        .await?;
    let held = Held {
        system: row.get(0),
        timeline: row.get(1),
        epoch: row.get(2),
        batches: row.get(3),
    };
    let committed = row.get::<_, bool>(5).then(|| {
        let conflicts: Option<Vec<Uuid>> = row.get(6);
        conflicts.into_iter().flatten().map(RunId).collect()
    });
    Ok(Fate::judged(&known.compare(&held), row.get(4), committed))
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
