//! The outcome of a batch whose answer was lost, which the table `feed` tells.

use foldhash::HashSet;
use history::RunId;
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
