//! How many runs there are, and how many begin and end.

use history::{Status, TaskQueue, WorkflowType};
use sqlx::{PgPool, QueryBuilder};

use super::filter::Writer;
use crate::{
    query::Query,
    store::{
        Error,
        feed::consumer::{self, Name},
        namespaces::Declared,
    },
};

/// How many runs of one type and queue have one status.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowCount {
    /// Their code.
    pub workflow_type: WorkflowType,
    /// The queue of their workflow tasks.
    pub task_queue: TaskQueue,
    /// Their status.
    pub status: Status,
    /// How many there are.
    pub runs: i64,
    /// How many have lately come to that status: have begun, where it is `Running`, or have ended so.
    pub lately: Rate,
}

/// How many within some time before now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Within a minute.
    pub minute: i64,
    /// Within five minutes.
    pub five_minutes: i64,
    /// Within an hour.
    pub hour: i64,
}

/// Returns how many runs a namespace has, by type, queue and status: kept as they change, not counted.
pub(crate) async fn counts(
    pool: &PgPool,
    namespace: i16,
) -> Result<Vec<WorkflowCount>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(c.workflow_type, r.workflow_type) AS "workflow_type!", coalesce(c.task_queue, r.task_queue) AS "task_queue!",
                  coalesce(c.status, r.status) AS "status!", coalesce(c.runs, 0) AS "runs!",
                  coalesce(r.minute, 0) AS "minute!", coalesce(r.five_minutes, 0) AS "five_minutes!", coalesce(r.hour, 0) AS "hour!"
           FROM (SELECT * FROM workflow_count w WHERE w.namespace = $1) AS c
           FULL JOIN (
               SELECT l.workflow_type, l.task_queue, l.status,
                      (sum(l.runs) FILTER (WHERE l.at > clock_timestamp() - interval '1 minute'))::bigint AS minute,
                      (sum(l.runs) FILTER (WHERE l.at > clock_timestamp() - interval '5 minutes'))::bigint AS five_minutes,
                      (sum(l.runs) FILTER (WHERE l.at > clock_timestamp() - interval '1 hour'))::bigint AS hour
               FROM workflow_rate l
               WHERE l.namespace = $1
               GROUP BY l.workflow_type, l.task_queue, l.status
           ) AS r ON r.workflow_type = c.workflow_type AND r.task_queue = c.task_queue AND r.status = c.status
           ORDER BY 1, 2, 3"#,
        namespace,
    )
    .fetch_all(pool)
    .await?;
    let counts = rows.into_iter().filter_map(|row| {
        let lately = Rate {
            minute: row.minute,
            five_minutes: row.five_minutes,
            hour: row.hour,
        };
        (row.runs != 0 || lately != Rate::default()).then_some(())?;
        Some(WorkflowCount {
            workflow_type: WorkflowType::known(row.workflow_type),
            task_queue: TaskQueue::known(row.task_queue),
            status: Status::numbered(i32::from(row.status))?,
            runs: row.runs,
            lately,
        })
    });
    Ok(counts.collect())
}

/// Counts the runs of a namespace that a query finds: by the counters where it finds all.
pub(crate) async fn count(
    pool: &PgPool,
    (namespace, declared): (i16, &Declared),
    query: &Query,
) -> Result<i64, sqlx::Error> {
    let Some(filter) = &query.filter else {
        return sqlx::query_scalar!(
            r#"SELECT coalesce(sum(runs), 0)::bigint AS "runs!" FROM workflow_count WHERE namespace = $1"#,
            namespace,
        )
        .fetch_one(pool)
        .await;
    };
    let mut sql = QueryBuilder::new("SELECT count(*) FROM visibility v WHERE v.namespace = ");
    sql.push_bind(namespace).push(" AND ");
    Writer {
        sql: &mut sql,
        declared,
    }
    .filter(filter, false);
    sql.build_query_scalar()
        .persistent(false)
        .fetch_one(pool)
        .await
}

/// Deletes the counts of which nothing is left: types and queues come and go.
pub(crate) async fn forget_counts(pool: &PgPool) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    // As all who write here do first.
    consumer::lock(&mut transaction, Name::Visibility).await?;
    sqlx::query!("DELETE FROM workflow_count WHERE runs = 0")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
