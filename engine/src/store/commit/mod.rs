//! The commit path: one statement a batch, fenced, over arrays; `commit_batch` in `migrations/0001_core.sql` is the other half.

mod columns;

use std::time::Duration;

use foldhash::HashSet;
use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use history::{RunId, chain::Hash, ids::WorkflowId};
use tokio_postgres::{
    Client, Statement,
    error::{Severity, SqlState},
    types::ToSql,
};
use uuid::Uuid;

use super::{
    Error, LOCK_NOT_AVAILABLE, NotCommitted, QUERY_CANCELED, Term,
    connect::{Address, Purpose, Session},
};
use crate::limits::{COMMIT_LOCK_WAIT, LEASE};
use columns::Columns;

/// A row of `history`.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    pub run_id: RunId,
    pub seq: i32,
    pub first_event_id: i64,
    pub records: String,
    pub hash: Hash,
}

/// A row of `execution` and what it does to `current_run`.
#[derive(Debug, Clone)]
pub struct StartRow {
    pub run_id: RunId,
    pub workflow_type: history::WorkflowType,
    pub task_queue: history::TaskQueue,
    pub first_run_id: RunId,
    pub parent: Option<history::WorkflowExecution>,
    pub request_id: Option<history::RequestId>,
    /// The run that the id meant before, as the owner knows it.
    pub previous_run_id: Option<RunId>,
    pub started_at: history::Timestamp,
}

/// What a close changes in `execution`.
#[derive(Debug, Clone)]
pub struct CloseRow {
    pub run_id: RunId,
    pub status: i16,
    pub closed_at: history::Timestamp,
    pub history_length: i64,
}

/// What `open_run` says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenRow {
    /// It is open and in memory.
    Hot,
    /// It is open and not in memory, and due then.
    Parked(Option<history::Timestamp>),
    /// It is closed: no row.
    Gone,
}

/// A row of `attempt`, or that it goes.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub run_id: RunId,
    pub event_id: history::EventId,
    /// What it is to say; `None` when the activity or workflow task is over.
    pub note: Option<String>,
}

/// A run's part in an item, by the number that the run gave it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub run_id: RunId,
    pub number: u64,
}

/// A run whose debts are all paid: its row of `outbox` may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settled {
    pub shard: i16,
    pub run_id: RunId,
}

/// What is committed or refused as a whole: all rows of one workflow id.
#[derive(Debug, Clone)]
pub struct Item {
    pub shard: i16,
    pub namespace: i16,
    pub workflow_id: WorkflowId,
    /// The folding that decided this; what belongs to a dropped one is not written.
    pub incarnation: u64,
    /// Whose records and attempts these are.
    pub parts: Vec<Part>,
    pub rows: Vec<HistoryRow>,
    pub attempts: Vec<AttemptRow>,
    pub starts: Vec<StartRow>,
    pub closes: Vec<CloseRow>,
    /// What `open_run` is to say of a run from now on.
    pub open: Option<(RunId, OpenRow)>,
    /// This run closes and owes others something.
    pub owes: Option<RunId>,
}

impl Item {
    /// Returns the bytes it counts for in a batch.
    pub fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|row| row.records.len() + 128);
        let notes = self.attempts.iter().filter_map(|row| row.note.as_ref());
        rows.chain(notes.map(|note| note.len() + 128)).sum()
    }
}

/// How a batch ended that did not fail.
#[derive(Debug, Default)]
pub struct Conflicts(
    /// The runs that were not started, because their id means another run than the owner knew. Nothing of their items was written.
    pub HashSet<RunId>,
);

/// A connection that commits through one slot.
pub struct Connection {
    client: Client,
    slot: i16,
    owner: Uuid,
    epoch: i64,
    commit: Statement,
    /// How long it waits for a lock unless told.
    lock_wait: Duration,
}

/// How many arguments `commit_batch` takes.
const ARGUMENTS: usize = 53;

impl Connection {
    /// Opens a connection to the database of a URL, as [`Self::open_at`] does.
    pub async fn open(url: &str, slot: i16, owner: Uuid, epoch: i64) -> Result<Self, Error> {
        let address = Address::find(url).await?;
        Self::open_at(&address, slot, Term { owner, epoch }, LEASE).await
    }

    /// Opens the connection and prepares its statement. A batch may take as long as a lease.
    pub(super) async fn open_at(
        address: &Address,
        slot: i16,
        Term { owner, epoch }: Term,
        lease: Duration,
    ) -> Result<Self, Error> {
        let client = address
            .client(Session::Commit(owner, slot), Purpose::Commit(lease))
            .await?;
        let places: Vec<String> = (1..=ARGUMENTS).map(|n| format!("${n}")).collect();
        let commit = format!("SELECT commit_batch({})", places.join(", "));
        Ok(Self {
            commit: client.prepare(&commit).await?,
            client,
            slot,
            owner,
            epoch,
            lock_wait: lease / COMMIT_LOCK_WAIT,
        })
    }

    /// Commits items as batch number `batch`, in one message and one transaction, if this process still owns the slot.
    ///
    /// # Errors
    /// An error that the server answered means that nothing was written; a lost connection leaves that open.
    pub async fn commit(
        &self,
        batch: i64,
        items: &[Item],
        settled: &[Settled],
    ) -> Result<Conflicts, tokio_postgres::Error> {
        let columns = Columns::of(items, settled);
        let kept = self
            .client
            .query_one(&self.commit, &self.arguments(&batch, &columns))
            .await?;
        let kept: Option<Vec<Uuid>> = kept.get(0);
        let kept: HashSet<Uuid> = kept.into_iter().flatten().collect();
        let claimed = columns.claims.run_id.iter();
        let lost = claimed.filter(|run_id| !kept.contains(run_id));
        Ok(Conflicts(lost.map(|run_id| RunId(*run_id)).collect()))
    }

    /// Returns the arguments of `commit_batch`, in order.
    fn arguments<'a>(
        &'a self,
        batch: &'a i64,
        columns: &'a Columns<'a>,
    ) -> [&'a (dyn ToSql + Sync); ARGUMENTS] {
        let Columns {
            claims,
            starts,
            history: rows,
            closes,
            outbox,
            open,
            gone,
            attempts,
            over,
            settled,
        } = columns;
        [
            &self.slot,
            &self.owner,
            &self.epoch,
            batch,
            &claims.shard,
            &claims.namespace,
            &claims.workflow_id,
            &claims.run_id,
            &claims.previous,
            &starts.shard,
            &starts.run_id,
            &starts.namespace,
            &starts.workflow_id,
            &starts.workflow_type,
            &starts.task_queue,
            &starts.first_run_id,
            &starts.parent_run_id,
            &starts.parent_workflow_id,
            &starts.request_id,
            &starts.started_at,
            &starts.claim,
            &rows.shard,
            &rows.run_id,
            &rows.seq,
            &rows.first_event_id,
            &history::chain::VERSION,
            &rows.records,
            &rows.hash,
            &rows.claim,
            &closes.shard,
            &closes.run_id,
            &closes.status,
            &closes.closed_at,
            &closes.history_length,
            &outbox.shard,
            &outbox.run_id,
            &outbox.claim,
            &open.shard,
            &open.run_id,
            &open.parked,
            &open.due_at,
            &gone.0,
            &gone.1,
            &attempts.shard,
            &attempts.run_id,
            &attempts.event_id,
            &attempts.note,
            &attempts.claim,
            &over.shard,
            &over.run_id,
            &over.event_id,
            &settled.0,
            &settled.1,
        ]
    }
}

impl super::Connection for Connection {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        settled: &'a [Settled],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        self.commit(batch, items, settled).map_err(judge).boxed()
    }

    fn wait_for_locks(&self, wait: Option<Duration>) -> BoxFuture<'_, ()> {
        let wait = wait.unwrap_or(self.lock_wait).as_millis();
        async move {
            let set = format!("SET lock_timeout = {wait}");
            // On a connection that is gone nothing is waited for.
            drop(self.client.batch_execute(&set).await);
        }
        .boxed()
    }

    fn tables_are_free(&self) -> BoxFuture<'_, bool> {
        /// The lock of whoever writes, for a moment. Whoever keeps a partition keeps what is above it as well.
        const TAKE: &str = "DO $$ BEGIN
            LOCK TABLE ONLY history, ONLY execution, ONLY current_run IN ROW EXCLUSIVE MODE;
        END $$";
        async { self.client.batch_execute(TAKE).await.is_ok() }.boxed()
    }
}

/// Says what an error of a batch means.
fn judge(error: tokio_postgres::Error) -> NotCommitted {
    let Some(answer) = error.as_db_error() else {
        return NotCommitted::Unknown(error.into());
    };
    if matches!(
        answer.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    ) || answer.code() == &SqlState::ADMIN_SHUTDOWN
    {
        return NotCommitted::Unknown(error.into());
    }
    match answer.code().code() {
        // It took longer than a batch may.
        QUERY_CANCELED => return NotCommitted::Doubtful(error.into()),
        // It waited for a lock for longer than a batch does.
        LOCK_NOT_AVAILABLE => return NotCommitted::Locked(error.into()),
        "CR001" => return NotCommitted::Fenced,
        _ => {}
    }
    match answer.code().code().get(..2) {
        // Classes of SQLSTATE that speak of data.
        Some("22" | "23" | "54") => NotCommitted::Poison(answer.message().to_owned()),
        // Of the connection, the transaction, other transactions, resources, the server, and a table or a right that is missing: no
        // fault of any row.
        Some("08" | "25" | "28" | "3D" | "40" | "42" | "53" | "55" | "57") => {
            NotCommitted::TryAgain(error.into())
        }
        _ => NotCommitted::Doubtful(error.into()),
    }
}
