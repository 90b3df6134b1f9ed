//! Lists of runs, from `execution`.

use history::{
    Namespace, Note, RunId, Status, TaskQueue, Timestamp, WorkflowExecution, WorkflowId,
    WorkflowType, record::Noted,
};
use sqlx::PgPool;
use uuid::Uuid;

use super::sqlstate::QUERY_CANCELED;
use crate::{
    UntakenTask,
    limits::{LIST_ATTEMPT_BYTES_MAX, LIST_ATTEMPTS_MAX, LIST_CONNECTIONS},
};

/// The most runs in one answer.
pub const PAGE_SIZE_MAX: u32 = 1000;

/// Says what a list that failed is answered with.
pub(crate) fn failed(error: sqlx::Error, pool: &PgPool) -> crate::Error {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(QUERY_CANCELED) => {
            crate::Error::ListTooSlow
        }
        // The database answers, but to others.
        sqlx::Error::PoolTimedOut if pool.size() >= LIST_CONNECTIONS => {
            crate::Error::Unavailable("other lists take too long")
        }
        error => super::Error::from(error).into(),
    }
}

/// Which runs are listed. What is not given does not matter.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Runs of this code.
    pub workflow_type: Option<String>,
    /// Runs in this status.
    pub status: Option<Status>,
    /// Runs of this workflow id.
    pub workflow_id: Option<String>,
    /// How many at most; no more than [`PAGE_SIZE_MAX`].
    pub page_size: u32,
    /// Only runs that started before this one: the last of the page before.
    pub cursor: Option<RunId>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// Its code.
    pub workflow_type: WorkflowType,
    /// Where its workflow tasks go.
    pub task_queue: TaskQueue,
    /// How it stands.
    pub status: Status,
    /// When it started.
    pub started_at: Timestamp,
    /// When it closed, if it did.
    pub closed_at: Option<Timestamp>,
    /// How many events it has; known when it is closed.
    pub history_length: Option<i64>,
    /// The parent, if it is a child.
    pub parent: Option<WorkflowExecution>,
    /// Where the attempts of a workflow task stand that fails, or else those of the first activity that does.
    pub failing: Option<Note>,
    /// A task of it that no worker takes.
    pub untaken: Option<UntakenTask>,
    /// When it was read.
    pub listed_at: Timestamp,
}

/// Returns runs of a namespace, the newest first.
///
/// # Errors
/// When the database fails or a row has a status that does not exist.
pub async fn list(
    pool: &PgPool,
    namespace_id: i16,
    filter: &ListFilter,
) -> Result<Vec<Summary>, sqlx::Error> {
    let rows = match &filter.workflow_id {
        Some(workflow_id) => select_by_workflow_id(pool, namespace_id, workflow_id, filter).await?,
        None => select_by_start(pool, namespace_id, filter).await?,
    };
    rows.into_iter().map(Row::summary).collect()
}

async fn select_by_start(
    pool: &PgPool,
    namespace_id: i16,
    filter: &ListFilter,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT run_id, workflow_id, workflow_type, task_queue, status, history_length, parent_run_id, parent_workflow_id,
                  (extract(epoch FROM started_at) * 1000000)::bigint AS "started_at!",
                  (extract(epoch FROM closed_at) * 1000000)::bigint AS closed_at,
                  (SELECT a.note
                   FROM (SELECT note, event_id FROM attempt
                         WHERE shard = execution.shard AND run_id = execution.run_id AND octet_length(note) <= $6
                         ORDER BY event_id LIMIT $7) a
                   WHERE a.note LIKE '%"last_failure":{%'
                   ORDER BY a.event_id LIMIT 1) AS failing,
                  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "listed_at!"
           FROM execution
           WHERE namespace = $1 AND run_id < $2
             AND ($3::text IS NULL OR workflow_type = $3)
             AND ($4::smallint IS NULL OR status = $4)
           ORDER BY run_id DESC
           LIMIT $5"#,
        namespace_id,
        before(filter),
        filter.workflow_type.as_deref(),
        status(filter),
        limit(filter),
        LIST_ATTEMPT_BYTES_MAX,
        i64::from(LIST_ATTEMPTS_MAX),
    )
    .fetch_all(pool)
    .await
}

/// A workflow id names its shard, and a shard has a thousandth of all runs: no index by id is needed.
async fn select_by_workflow_id(
    pool: &PgPool,
    namespace_id: i16,
    workflow_id: &str,
    filter: &ListFilter,
) -> Result<Vec<Row>, sqlx::Error> {
    let Some(name) = sqlx::query_scalar!("SELECT name FROM namespace WHERE id = $1", namespace_id)
        .fetch_optional(pool)
        .await?
    else {
        return Ok(Vec::new());
    };
    sqlx::query_as!(
        Row,
        r#"SELECT run_id, workflow_id, workflow_type, task_queue, status, history_length, parent_run_id, parent_workflow_id,
                  (extract(epoch FROM started_at) * 1000000)::bigint AS "started_at!",
                  (extract(epoch FROM closed_at) * 1000000)::bigint AS closed_at,
                  (SELECT a.note
                   FROM (SELECT note, event_id FROM attempt
                         WHERE shard = execution.shard AND run_id = execution.run_id AND octet_length(note) <= $8
                         ORDER BY event_id LIMIT $9) a
                   WHERE a.note LIKE '%"last_failure":{%'
                   ORDER BY a.event_id LIMIT 1) AS failing,
                  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "listed_at!"
           FROM execution
           WHERE shard = $1 AND namespace = $2 AND workflow_id = $3 AND run_id < $4
             AND ($5::text IS NULL OR workflow_type = $5)
             AND ($6::smallint IS NULL OR status = $6)
           ORDER BY run_id DESC
           LIMIT $7"#,
        crate::shard::of(&Namespace::known(name), &WorkflowId::known(workflow_id)),
        namespace_id,
        workflow_id,
        before(filter),
        filter.workflow_type.as_deref(),
        status(filter),
        limit(filter),
        LIST_ATTEMPT_BYTES_MAX,
        i64::from(LIST_ATTEMPTS_MAX),
    )
    .fetch_all(pool)
    .await
}

/// Not `$2 IS NULL OR …`, which no index serves. No run has the greatest id of all: it is no `UUIDv7`.
fn before(filter: &ListFilter) -> Uuid {
    filter.cursor.map_or(Uuid::max(), |run_id| run_id.0)
}

fn status(filter: &ListFilter) -> Option<i16> {
    filter
        .status
        .and_then(|status| i16::try_from(status.number()).ok())
}

fn limit(filter: &ListFilter) -> i64 {
    i64::from(filter.page_size.clamp(1, PAGE_SIZE_MAX))
}

/// Reads where attempts stand. What another version has written in other words is left to the run's description.
fn failing(note: &str) -> Option<Note> {
    let noted: Noted = serde_json::from_str(note).ok()?;
    Some(noted.note)
}

struct Row {
    run_id: Uuid,
    workflow_id: String,
    workflow_type: String,
    task_queue: String,
    status: i16,
    history_length: Option<i64>,
    parent_run_id: Option<Uuid>,
    parent_workflow_id: Option<String>,
    started_at: i64,
    closed_at: Option<i64>,
    failing: Option<String>,
    listed_at: i64,
}

impl Row {
    fn summary(self) -> Result<Summary, sqlx::Error> {
        let run_id = RunId(self.run_id);
        let status = Status::numbered(i32::from(self.status)).ok_or_else(|| {
            sqlx::Error::Decode(
                format!(
                    "table execution, run {run_id}: there is no status {}",
                    self.status
                )
                .into(),
            )
        })?;
        let parent =
            self.parent_workflow_id
                .zip(self.parent_run_id)
                .map(|(workflow_id, run_id)| WorkflowExecution {
                    workflow_id: WorkflowId::known(workflow_id),
                    run_id: RunId(run_id),
                });
        Ok(Summary {
            workflow_id: WorkflowId::known(self.workflow_id),
            run_id,
            workflow_type: WorkflowType::known(self.workflow_type),
            task_queue: TaskQueue::known(self.task_queue),
            status,
            started_at: Timestamp(self.started_at),
            closed_at: self.closed_at.map(Timestamp),
            history_length: self.history_length,
            parent,
            failing: self.failing.as_deref().and_then(failing),
            untaken: None,
            listed_at: Timestamp(self.listed_at),
        })
    }
}
