//! The outcome of a batch whose answer was lost, and the table `batch_log` that tells.

use std::ops::Range;

use foldhash::HashSet;
use history::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error, Term,
    acknowledged::{Held, Verdict, Witness},
    call::{self, named},
    commit::Item,
    connect::Address,
    session::{Purpose, Session},
};

/// The outcome of a batch whose answer was lost.
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

/// A batch whose answer was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost<'a> {
    pub(super) term: Term,
    pub(super) slot: i16,
    pub(super) batch: i64,
    pub(super) items: &'a [Item],
}

/// What the database says of itself and of a batch.
struct Said {
    held: Held,
    /// The process is a member still.
    member: bool,
    /// The starts that did not get their id, if the batch is there.
    committed: Option<HashSet<RunId>>,
}

/// Returns the outcome of a batch.
pub(super) async fn of(
    address: &Address,
    witness: &Witness,
    lost: Lost<'_>,
) -> Result<Fate, Error> {
    let Some(known) = witness.known() else {
        return Ok(Fate::Fenced);
    };
    let said = ask(address, lost).await?;
    let verdict = known.compare(&said.held);
    Ok(Fate::judged(&verdict, said.member, said.committed))
}

/// Ends the session that had the batch, waits for its end by locking its slot, and looks for the batch's number: one statement, which
/// a client that freezes or vanishes leaves to itself.
async fn ask(address: &Address, lost: Lost<'_>) -> Result<Said, Error> {
    let (owner, slot) = (lost.term.owner, lost.slot);
    let client = address
        .client(Session::Fate(owner, slot), Purpose::Fate)
        .await?;
    let (shards, run_ids): (Vec<i16>, Vec<Uuid>) = lost
        .items
        .iter()
        .flat_map(|item| item.starts.iter().map(|start| (item.shard, start.run_id.0)))
        .unzip();
    let lost_session = Session::Commit(owner, slot).name();
    let arguments = [
        named("member_id", &lost.term.owner),
        named("member_epoch", &lost.term.epoch),
        named("slot_n", &lost.slot),
        named("batch_n", &lost.batch),
        named("lost_session", &lost_session),
        named("start_shards", &shards),
        named("start_run_ids", &run_ids),
    ];
    let select = format!("SELECT * FROM {}", call::text("batch_fate", &arguments));
    let row = client.query_one(&select, &call::values(arguments)).await?;
    let conflicts: Option<Vec<Uuid>> = row.get("conflicts");
    let conflicts = conflicts.into_iter().flatten().map(RunId).collect();
    Ok(Said {
        held: Held {
            system: row.get("system"),
            timeline: row.get("timeline"),
            epoch: row.get("latest_epoch"),
            batches: row.get("batches"),
        },
        member: row.get("member"),
        committed: row.get::<_, bool>("committed").then_some(conflicts),
    })
}

/// Deletes some numbers of a slot's batches. A snapshot that somebody holds for hours keeps in table and index what was deleted; so this is
/// told where there is something to delete, and looks at nothing else.
pub(super) async fn delete_old(
    connection: &mut PgConnection,
    member: Uuid,
    slot: i16,
    old: &Range<i64>,
) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM batch_log WHERE member = $1 AND slot = $2 AND batch >= $3 AND batch < $4",
        member,
        slot,
        old.start,
        old.end,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::database, *};

    /// How many batches there are between two times that old ones are deleted.
    const STEP: i64 = 1000;

    /// Returns how many pages of the table and its index this transaction has looked at.
    async fn looked_at(connection: &mut PgConnection) -> i64 {
        sqlx::query_scalar(
            "SELECT pg_stat_get_xact_blocks_fetched('batch_log'::regclass) + pg_stat_get_xact_blocks_fetched('batch_log_pkey'::regclass)",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn old_batches_are_deleted_at_the_same_cost_while_somebody_holds_a_snapshot() {
        use sqlx::Connection as _;
        let address = database::fresh().await;
        let mut connection = address
            .session(Session::Fate(Uuid::nil(), 0))
            .await
            .unwrap();
        let reader = address
            .client(Session::Fate(Uuid::nil(), 0), Purpose::Lock)
            .await
            .unwrap();
        reader
            .batch_execute(
                "SET idle_in_transaction_session_timeout = 0;
                 BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM batch_log",
            )
            .await
            .unwrap();
        let writer = address
            .client(Session::Fate(Uuid::nil(), 0), Purpose::Lock)
            .await
            .unwrap();
        let member = Uuid::nil();
        let mut costs = Vec::new();
        for n in 0..20 {
            let numbers = n * STEP..(n + 1) * STEP;
            let (from, to) = (numbers.start, numbers.end - 1);
            writer
                .batch_execute(&format!(
                    "INSERT INTO batch_log SELECT '{member}', 0, generate_series({from}, {to})"
                ))
                .await
                .unwrap();
            let Some(old) = (n > 2).then(|| numbers.start - 2 * STEP..numbers.end - 2 * STEP)
            else {
                continue;
            };
            let mut transaction = connection.begin().await.unwrap();
            let before = looked_at(&mut transaction).await;
            delete_old(&mut transaction, member, 0, &old).await.unwrap();
            costs.push(looked_at(&mut transaction).await - before);
            transaction.commit().await.unwrap();
        }
        let (first, last) = (costs[0], costs[costs.len() - 1]);
        assert!(last < first + first / 2, "{costs:?}");
        let left = writer
            .query_one("SELECT count(*) FROM batch_log WHERE batch >= 1000", &[])
            .await
            .unwrap();
        assert_eq!(left.get::<_, i64>(0), 2 * STEP);
        tokio::time::timeout(Duration::from_secs(20), reader.batch_execute("COMMIT"))
            .await
            .unwrap()
            .unwrap();
    }
}
