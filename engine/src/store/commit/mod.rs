//! The commit path: one pipelined round trip a batch, fenced, a few statements over arrays.

mod columns;

use std::collections::HashSet;

use futures::{
    FutureExt as _, TryFutureExt as _,
    future::{BoxFuture, join_all},
};
use history::{RunId, chain::Hash, ids::WorkflowId};
use tokio_postgres::{
    Client, Row, Statement,
    error::{Severity, SqlState},
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{Error, NotCommitted};
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
    pub rows: Vec<HistoryRow>,
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
        self.rows.iter().map(|row| row.records.len() + 128).sum()
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
    /// The server process behind it.
    pub backend: i32,
    slot: i16,
    owner: Uuid,
    epoch: i64,
    statements: Statements,
}

struct Statements {
    fence: Statement,
    current: Statement,
    execution: Statement,
    close: Statement,
    history: Statement,
    open: Statement,
    gone: Statement,
    outbox: Statement,
    settle: Statement,
}

const FENCE: &str = "SELECT fence($1, $2, $3, $4)";

// A second run of the same id is stopped here: the row must be absent, or mean the run that the owner knows.
const CURRENT: &str = "
    INSERT INTO current_run AS c (shard, namespace, workflow_id, run_id, previous_run_id)
    SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::text[], $4::uuid[], $5::uuid[])
    ON CONFLICT (shard, namespace, workflow_id) DO UPDATE
    SET run_id = EXCLUDED.run_id, previous_run_id = EXCLUDED.previous_run_id
    WHERE c.run_id = EXCLUDED.previous_run_id
    RETURNING c.run_id";

// What belongs to a start that lost its id is filtered out here, and below by the absence of this row.
const EXECUTION: &str = "
    INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id,
                           parent_run_id, parent_workflow_id, request_id, started_at, status)
    SELECT u.shard, u.run_id, u.namespace, u.workflow_id, u.workflow_type, u.task_queue, u.first_run_id,
           u.parent_run_id, u.parent_workflow_id, u.request_id,
           timestamptz 'epoch' + u.started_at * interval '1 microsecond', 1
    FROM unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                $8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::uuid[])
         AS u (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id,
               parent_run_id, parent_workflow_id, request_id, started_at, claim)
    WHERE EXISTS (
        SELECT FROM current_run c
        WHERE c.shard = u.shard AND c.namespace = u.namespace AND c.workflow_id = u.workflow_id AND c.run_id = u.claim
    )";

// Not EXISTS: planned while the table is small, that becomes a hash of the whole table, and stays one.
const HISTORY: &str = "
    INSERT INTO history (shard, run_id, seq, first_event_id, version, records, hash)
    SELECT u.shard, u.run_id, u.seq, u.first_event_id, $7, u.records, u.hash
    FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::bytea[], $8::uuid[])
         AS u (shard, run_id, seq, first_event_id, records, hash, claim)
    WHERE u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim)";

const CLOSE: &str = "
    UPDATE execution e
    SET status = u.status, closed_at = timestamptz 'epoch' + u.closed_at * interval '1 microsecond',
        history_length = u.history_length
    FROM unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[])
         AS u (shard, run_id, status, closed_at, history_length)
    WHERE e.shard = u.shard AND e.run_id = u.run_id";

const OPEN: &str = "
    INSERT INTO open_run (shard, run_id, parked, due_at)
    SELECT u.shard, u.run_id, u.parked, timestamptz 'epoch' + u.due_at * interval '1 microsecond'
    FROM unnest($1::smallint[], $2::uuid[], $3::boolean[], $4::bigint[]) AS u (shard, run_id, parked, due_at)
    ON CONFLICT (shard, run_id) DO UPDATE SET parked = EXCLUDED.parked, due_at = EXCLUDED.due_at";

const GONE: &str = "
    DELETE FROM open_run o
    USING unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
    WHERE o.shard = u.shard AND o.run_id = u.run_id";

const OUTBOX: &str = "
    INSERT INTO outbox (shard, run_id)
    SELECT u.shard, u.run_id
    FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS u (shard, run_id, claim)
    WHERE u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim)";

const SETTLE: &str = "
    DELETE FROM outbox o
    USING unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
    WHERE o.shard = u.shard AND o.run_id = u.run_id";

impl Connection {
    /// Opens the connection and prepares its statements.
    pub async fn open(url: &str, slot: i16, owner: Uuid, epoch: i64) -> Result<Self, Error> {
        let client = super::connect::client(url).await?;
        // Without row estimates for `unnest`, a generic plan would turn joins into scans of whole tables.
        client
            .batch_execute(
                "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
                 SET plan_cache_mode = force_generic_plan; SET jit = off; SET synchronous_commit = on",
            )
            .await?;
        let backend = client
            .query_one("SELECT pg_backend_pid()", &[])
            .await?
            .get(0);
        let statements = Statements {
            fence: client
                .prepare_typed(FENCE, &[Type::INT2, Type::UUID, Type::INT8, Type::INT8])
                .await?,
            current: client.prepare(CURRENT).await?,
            execution: client.prepare(EXECUTION).await?,
            close: client.prepare(CLOSE).await?,
            history: client.prepare(HISTORY).await?,
            open: client.prepare(OPEN).await?,
            gone: client.prepare(GONE).await?,
            outbox: client.prepare(OUTBOX).await?,
            settle: client.prepare(SETTLE).await?,
        };
        Ok(Self {
            client,
            backend,
            slot,
            owner,
            epoch,
            statements,
        })
    }

    /// Commits items as batch number `batch`, in one round trip, if this process still owns the slot.
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
        // `join_all` polls in order, so the requests leave in order and in one write; every answer is looked
        // at, because the driver reports success for a COMMIT that the server answered with ROLLBACK.
        let results = join_all(self.steps(&batch, &columns)).await;
        let mut winners = HashSet::new();
        for result in results {
            // The first error is the cause; the others say that the transaction is aborted.
            winners.extend(result?.iter().map(|row| RunId(row.get(0))));
        }
        let claimed = columns.claims.run_id.iter().map(|id| RunId(*id));
        Ok(Conflicts(
            claimed.filter(|id| !winners.contains(id)).collect(),
        ))
    }

    /// Returns the statements of a batch, in order; only the claims answer with rows.
    fn steps<'a>(&'a self, batch: &'a i64, columns: &'a Columns<'a>) -> Vec<Step<'a>> {
        let s = &self.statements;
        let mut steps = Vec::with_capacity(12);
        steps.push(self.control("BEGIN"));
        steps.push(self.change(&s.fence, vec![&self.slot, &self.owner, &self.epoch, batch]));
        let Columns {
            claims: c,
            starts: x,
            ..
        } = columns;
        if !x.shard.is_empty() {
            steps.push(self.claim(vec![
                &c.shard,
                &c.namespace,
                &c.workflow_id,
                &c.run_id,
                &c.previous,
            ]));
            steps.push(self.change(
                &s.execution,
                vec![
                    &x.shard,
                    &x.run_id,
                    &x.namespace,
                    &x.workflow_id,
                    &x.workflow_type,
                    &x.task_queue,
                    &x.first_run_id,
                    &x.parent_run_id,
                    &x.parent_workflow_id,
                    &x.request_id,
                    &x.started_at,
                    &x.claim,
                ],
            ));
        }
        let x = &columns.history;
        if !x.shard.is_empty() {
            let version = &history::chain::VERSION;
            steps.push(self.change(
                &s.history,
                vec![
                    &x.shard,
                    &x.run_id,
                    &x.seq,
                    &x.first_event_id,
                    &x.records,
                    &x.hash,
                    version,
                    &x.claim,
                ],
            ));
        }
        let x = &columns.closes;
        if !x.shard.is_empty() {
            steps.push(self.change(
                &s.close,
                vec![
                    &x.shard,
                    &x.run_id,
                    &x.status,
                    &x.closed_at,
                    &x.history_length,
                ],
            ));
        }
        let x = &columns.outbox;
        if !x.shard.is_empty() {
            steps.push(self.change(&s.outbox, vec![&x.shard, &x.run_id, &x.claim]));
        }
        let x = &columns.open;
        if !x.shard.is_empty() {
            steps.push(self.change(&s.open, vec![&x.shard, &x.run_id, &x.parked, &x.due_at]));
        }
        for (statement, keys) in [(&s.gone, &columns.gone), (&s.settle, &columns.settled)] {
            if !keys.0.is_empty() {
                steps.push(self.change(statement, vec![&keys.0, &keys.1]));
            }
        }
        steps.push(self.control("COMMIT"));
        steps
    }

    fn control<'a>(&'a self, word: &'static str) -> Step<'a> {
        async move { self.client.batch_execute(word).await.map(|()| Vec::new()) }.boxed()
    }

    fn change<'a>(
        &'a self,
        statement: &'a Statement,
        parameters: Vec<&'a (dyn ToSql + Sync)>,
    ) -> Step<'a> {
        // The fence is a SELECT; its one row says nothing.
        async move {
            self.client
                .execute(statement, &parameters)
                .await
                .map(|_| Vec::new())
        }
        .boxed()
    }

    fn claim<'a>(&'a self, parameters: Vec<&'a (dyn ToSql + Sync)>) -> Step<'a> {
        async move {
            self.client
                .query(&self.statements.current, &parameters)
                .await
        }
        .boxed()
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

    fn backend(&self) -> i32 {
        self.backend
    }
}

/// Says what an error of a batch means.
fn judge(error: tokio_postgres::Error) -> NotCommitted {
    let Some(answer) = error.as_db_error() else {
        return NotCommitted::Unknown(error.into());
    };
    if answer.code().code() == "CR001" {
        return NotCommitted::Fenced;
    }
    if matches!(
        answer.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    ) || answer.code() == &SqlState::ADMIN_SHUTDOWN
    {
        return NotCommitted::Unknown(error.into());
    }
    // Classes of SQLSTATE that speak of data. A table or a right that is missing (42) is no fault of any row.
    match answer.code().code().get(..2) {
        Some("22" | "23" | "54") => NotCommitted::Poison(answer.message().to_owned()),
        _ => NotCommitted::TryAgain(error.into()),
    }
}

/// One statement of a batch under way.
type Step<'a> = BoxFuture<'a, Result<Vec<Row>, tokio_postgres::Error>>;
