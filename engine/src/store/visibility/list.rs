//! A page of a list.

use history::{
    Note, RunId, Status, TaskQueue, Timestamp, WorkflowExecution, WorkflowId, WorkflowType,
    event::Memo, record::Noted,
};
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{
    filter::Writer,
    order::{By, Cursor, Ordered},
};
use crate::{
    UntakenTask,
    limits::{
        LIST_ATTEMPT_BYTES_MAX, LIST_ATTEMPTS_MAX, LIST_CONNECTIONS, LIST_MEMO_BYTES_MAX,
        LIST_PAGE_MAX,
    },
    query::Query,
    store::{
        namespaces::Declared,
        sqlstate::{DATA_EXCEPTION, QUERY_CANCELED},
    },
};

/// Says what a list that failed is answered with.
pub(crate) fn failed(error: sqlx::Error, pool: &PgPool) -> crate::Error {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(QUERY_CANCELED) => {
            crate::Error::ListTooSlow
        }
        // What a cursor says is no value of what the list is ordered by: nothing else of a list is cast.
        sqlx::Error::Database(error)
            if error
                .code()
                .is_some_and(|code| code.starts_with(DATA_EXCEPTION)) =>
        {
            crate::Error::ListCursor
        }
        // The database answers, but to others.
        sqlx::Error::PoolTimedOut if pool.size() >= LIST_CONNECTIONS => {
            crate::Error::Unavailable("other lists take too long")
        }
        error => crate::store::Error::from(error).into(),
    }
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Which runs, and in which order: Temporal's list filter, with `ORDER BY`. Those of the namespace, the newest first, unless it says more.
    pub query: String,
    /// How many at most; no more than [`LIST_PAGE_MAX`].
    pub page_size: u32,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// The runs of a page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In order.
    pub runs: Vec<Summary>,
    /// Where the next one begins; `None` where this is the last.
    pub next: Option<Cursor>,
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
    /// When its code may begin.
    pub execution_at: Timestamp,
    /// When it closed, if it did.
    pub closed_at: Option<Timestamp>,
    /// How many events it has; known when it is closed.
    pub history_length: Option<i64>,
    /// Their stored bytes; known when it is closed.
    pub history_bytes: Option<i64>,
    /// The parent, if it is a child.
    pub parent: Option<WorkflowExecution>,
    /// The first ancestor, if it is a child.
    pub root: Option<WorkflowExecution>,
    /// Its memo as it is now; without any of what has more than [`LIST_MEMO_BYTES_MAX`] together.
    pub memo: Memo,
    /// Its search attributes as they are now, a JSON object of plain values, if it has any.
    pub search_attributes: Option<String>,
    /// Where the attempts of a workflow task stand that fails, or else those of the first activity that does.
    pub failing: Option<Note>,
    /// A task of it that no worker takes.
    pub untaken: Option<UntakenTask>,
    /// When it was read.
    pub listed_at: Timestamp,
}

/// Returns a page of runs of a namespace.
///
/// # Errors
/// When the database fails.
pub(crate) async fn list(
    pool: &PgPool,
    (namespace, declared): (i16, &Declared),
    query: &Query,
    order: Ordered,
    request: &ListRequest,
) -> Result<Page, sqlx::Error> {
    let size = request.page_size.clamp(1, LIST_PAGE_MAX);
    let mut sql = QueryBuilder::new("");
    let of = Of {
        namespace,
        declared,
        query,
        order,
    };
    // One more says whether there is a next page.
    of.page(&mut sql, request.cursor.as_ref(), size + 1);
    // A plan for these values: what is frequent in one namespace is rare in another.
    let mut rows: Vec<Row> = sql
        .build_query_as()
        .persistent(false)
        .fetch_all(pool)
        .await?;
    let size = size as usize;
    let has_more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| has_more).map(|last| Cursor {
        list: Cursor::list(namespace, &request.query),
        run_id: RunId(last.run_id),
        value: last.ordered_by.clone(),
    });
    let runs = rows.into_iter().filter_map(|row| {
        let run_id = row.run_id;
        let run = row.summary();
        if run.is_none() {
            tracing::warn!(%run_id, "a run has a status that this binary does not know, and is left out of a list");
        }
        run
    });
    Ok(Page {
        runs: runs.collect(),
        next,
    })
}

/// Which runs a list has, and in which order.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) namespace: i16,
    pub(super) declared: &'a Declared,
    pub(super) query: &'a Query,
    pub(super) order: Ordered,
}

impl Of<'_> {
    /// Writes the statement of a page: which runs, by the index of their order or of a condition; then what else is shown of those.
    pub(super) fn page(self, sql: &mut QueryBuilder<Postgres>, cursor: Option<&Cursor>, size: u32) {
        sql.push("WITH page AS MATERIALIZED (SELECT v.*, ");
        self.ordered_by(sql);
        if let Some(filter) = &self.query.filter {
            sql.push(" AND ");
            let declared = self.declared;
            Writer { sql, declared }.filter(filter, false);
        }
        if let Some(cursor) = cursor {
            follow(sql, self.order, cursor);
        }
        let direction = self.order.keyword();
        sql.push(" ORDER BY ");
        match self.order.by {
            By::Start => sql.push("v.run_id ").push(direction),
            By::Column { name, .. } => {
                sql.push(format!("{name} {direction}, v.run_id {direction}"))
            }
            By::Attribute { column, .. } => {
                sql.push(format!("{column} {direction}, o.run_id {direction}"))
            }
        };
        sql.push(" LIMIT ").push_bind(i64::from(size));
        sql.push(SHOWN).push_bind(LIST_ATTEMPT_BYTES_MAX);
        sql.push(" ORDER BY event_id LIMIT ")
            .push_bind(i64::from(LIST_ATTEMPTS_MAX));
        sql.push(REST).push_bind(LIST_MEMO_BYTES_MAX).push(LAST);
    }

    /// Writes what the list is ordered by, and that a run has it.
    fn ordered_by(self, sql: &mut QueryBuilder<Postgres>) {
        match self.order.by {
            By::Start => sql.push("NULL::text AS ordered_by FROM visibility v"),
            By::Column { name, .. } => sql
                .push(name)
                .push("::text AS ordered_by FROM visibility v"),
            By::Attribute { column, .. } => sql.push(column).push(
                "::text AS ordered_by FROM visibility_attribute o
                 JOIN visibility v ON v.namespace = o.namespace AND v.run_id = o.run_id",
            ),
        };
        sql.push(" WHERE v.namespace = ").push_bind(self.namespace);
        match self.order.by {
            By::Start
            | By::Column {
                nullable: false, ..
            } => {}
            By::Column { name, .. } => {
                sql.push(" AND ").push(name).push(" IS NOT NULL");
            }
            By::Attribute { id, column, .. } => {
                sql.push(" AND o.namespace = ").push_bind(self.namespace);
                sql.push(" AND o.attribute = ").push_bind(id);
                sql.push(" AND ").push(column).push(" IS NOT NULL");
            }
        }
    }
}

/// What is shown of each run of a page, up to the limits of what is looked at of its attempts.
const SHOWN: &str = r")
    SELECT v.run_id, v.workflow_id, v.workflow_type, v.task_queue, v.status, v.history_length, v.history_bytes,
           v.parent_run_id, v.parent_workflow_id, v.root_run_id, v.root_workflow_id, v.ordered_by,
           (extract(epoch FROM v.started_at) * 1000000)::bigint AS started_at,
           (extract(epoch FROM v.execution_at) * 1000000)::bigint AS execution_at,
           (extract(epoch FROM nullif(v.closed_at, 'infinity')) * 1000000)::bigint AS closed_at,
           e.memo, e.search_attributes::text AS search_attributes,
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS listed_at,
           (SELECT a.note FROM (SELECT t.note, t.event_id FROM attempt t
                                WHERE t.shard = v.shard AND t.run_id = v.run_id AND octet_length(t.note) <= ";
const REST: &str = r#") a
            WHERE a.note LIKE '%"last_failure":{%' ORDER BY a.event_id LIMIT 1) AS failing
    FROM (SELECT p.*, row_number() OVER () AS n FROM page p) v
    -- One after the other: no estimate may make a walk through all of it look better.
    LEFT JOIN LATERAL (SELECT CASE WHEN octet_length(x.memo) <= "#;
const LAST: &str = r" THEN x.memo END AS memo, x.search_attributes FROM execution x WHERE x.shard = v.shard AND x.run_id = v.run_id OFFSET 0) e ON true
    ORDER BY v.n";

/// Writes what is behind a cursor. Its values are in queries of their own: of a value the server guesses how many rows it leaves, by statistics over all
/// attributes at once, and where these are few by mistake it reads all that there are in the place of the next few.
fn follow(sql: &mut QueryBuilder<Postgres>, order: Ordered, cursor: &Cursor) {
    let run_id = cursor.run_id.0;
    let value = cursor.value.clone().unwrap_or_default();
    let (column, last, cast) = match order.by {
        By::Start => {
            sql.push(" AND v.run_id").push(order.follows());
            sql.push("(SELECT ").push_bind(run_id).push(")");
            return;
        }
        By::Column { name, cast, .. } => (name, "v.run_id", cast),
        By::Attribute { column, cast, .. } => (column, "o.run_id", cast),
    };
    sql.push(" AND (").push(column).push(", ").push(last);
    sql.push(")").push(order.follows()).push("((SELECT ");
    sql.push_bind(value)
        .push("::")
        .push(cast)
        .push("), (SELECT ");
    sql.push_bind(run_id).push("))");
}

/// Reads where attempts stand. What another version has written in other words is left to the run's description.
fn failing(note: &str) -> Option<Note> {
    let noted: Noted = serde_json::from_str(note).ok()?;
    Some(noted.note)
}

#[derive(sqlx::FromRow)]
struct Row {
    run_id: Uuid,
    workflow_id: String,
    workflow_type: String,
    task_queue: String,
    status: i16,
    history_length: Option<i64>,
    history_bytes: Option<i64>,
    parent_run_id: Option<Uuid>,
    parent_workflow_id: Option<String>,
    root_run_id: Option<Uuid>,
    root_workflow_id: Option<String>,
    ordered_by: Option<String>,
    started_at: i64,
    execution_at: i64,
    closed_at: Option<i64>,
    memo: Option<String>,
    search_attributes: Option<String>,
    listed_at: i64,
    failing: Option<String>,
}

impl Row {
    fn summary(self) -> Option<Summary> {
        let run_id = RunId(self.run_id);
        let status = Status::numbered(i32::from(self.status))?;
        // Of a run that was deleted since there is none.
        let memo = self.memo.as_deref().map(serde_json::from_str);
        Some(Summary {
            workflow_id: WorkflowId::known(self.workflow_id),
            run_id,
            workflow_type: WorkflowType::known(self.workflow_type),
            task_queue: TaskQueue::known(self.task_queue),
            status,
            started_at: Timestamp(self.started_at),
            execution_at: Timestamp(self.execution_at),
            closed_at: self.closed_at.map(Timestamp),
            history_length: self.history_length,
            history_bytes: self.history_bytes,
            parent: execution(self.parent_workflow_id, self.parent_run_id),
            root: execution(self.root_workflow_id, self.root_run_id),
            memo: memo.transpose().unwrap_or_default().unwrap_or_default(),
            search_attributes: self.search_attributes,
            failing: self.failing.as_deref().and_then(failing),
            untaken: None,
            listed_at: Timestamp(self.listed_at),
        })
    }
}

fn execution(workflow_id: Option<String>, run_id: Option<Uuid>) -> Option<WorkflowExecution> {
    workflow_id
        .zip(run_id)
        .map(|(workflow_id, run_id)| WorkflowExecution {
            workflow_id: WorkflowId::known(workflow_id),
            run_id: RunId(run_id),
        })
}
