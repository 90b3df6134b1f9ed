//! Brings the lists in line with `execution`, as the feed says what has changed. What is written is what `execution` says by now, so that it may
//! be written again; how far the feed is read is written with it.

use std::collections::BTreeSet;

use history::RunId;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::attributes;
use crate::{
    limits::{VISIBILITY_BUILD_PAGE, VISIBILITY_CHUNK, VISIBILITY_PAGE},
    store::{
        Error, feed,
        feed::consumer::{self, Name, Progress},
    },
};

/// What a turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The lists have all that was committed when it began. They were made anew so many times.
    Done { builds: i64 },
    /// There is more to be read.
    More,
    /// They are being made anew, and lack what is still to be read.
    Building,
}

/// Brings the lists forward by one page, in a transaction of its own. Waits for whoever else does so.
pub(crate) async fn turn(pool: &PgPool) -> Result<Turn, Error> {
    let mut transaction = pool.begin().await?;
    // What is lost with the server is read again.
    sqlx::raw_sql("SET LOCAL synchronous_commit = off")
        .execute(&mut *transaction)
        .await?;
    let consumer::Consumer { progress, builds } =
        consumer::lock(&mut transaction, Name::Visibility).await?;
    let (progress, turn) = match progress {
        Progress::ToBuild => begin(&mut transaction).await?,
        Progress::Building {
            cursor,
            namespace,
            run_id,
        } => build(&mut transaction, cursor, (namespace, run_id)).await?,
        Progress::Reading(cursor) => read(&mut transaction, cursor, builds).await?,
    };
    if let Some(progress) = progress {
        consumer::note(&mut transaction, Name::Visibility, &progress).await?;
        transaction.commit().await?;
    }
    Ok(turn)
}

/// Returns how often the lists were made anew; `None` while they are.
pub(crate) async fn builds(executor: impl PgExecutor<'_>) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT builds FROM feed_consumer WHERE name = 'visibility' AND epoch IS NOT NULL AND built_namespace IS NULL"
    )
    .fetch_optional(executor)
    .await
}

/// Has the lists made anew. They are refused until that is done.
pub(crate) async fn rebuild(pool: &PgPool) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    consumer::lock(&mut transaction, Name::Visibility).await?;
    consumer::note(&mut transaction, Name::Visibility, &Progress::ToBuild).await?;
    Ok(transaction.commit().await?)
}

/// Empties the lists. What is committed from now on is in the feed behind its end; what was before is read from `execution`.
async fn begin(connection: &mut PgConnection) -> Result<(Option<Progress>, Turn), Error> {
    // Whoever reads a list meanwhile sees by the number of builds that it was not whole.
    let building = consumer::begin_building(connection, Name::Visibility).await?;
    if !empty(connection).await? {
        return Ok((Some(Progress::ToBuild), Turn::Building));
    }
    Ok((Some(building), Turn::Building))
}

/// What is made from the feed.
const TABLES: [&str; 4] = [
    "visibility",
    "visibility_attribute",
    "workflow_count",
    "workflow_rate",
];

/// Empties the tables at once, or some of them where somebody reads them, for hours it may be, as `pg_dump` does; says whether they are empty.
async fn empty(connection: &mut PgConnection) -> Result<bool, Error> {
    let mut attempt = connection.begin().await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '200ms'")
        .execute(&mut *attempt)
        .await?;
    let emptied = sqlx::raw_sql(AssertSqlSafe(format!("TRUNCATE {}", TABLES.join(", "))))
        .execute(&mut *attempt)
        .await;
    if emptied.is_ok() {
        attempt.commit().await?;
        return Ok(true);
    }
    attempt.rollback().await?;
    let mut is_empty = true;
    for table in TABLES {
        let delete = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM {table} x LIMIT {VISIBILITY_BUILD_PAGE}))"
        );
        let deleted = sqlx::raw_sql(AssertSqlSafe(delete))
            .execute(&mut *connection)
            .await?;
        is_empty &= deleted.rows_affected() == 0;
    }
    Ok(is_empty)
}

/// Reads the next runs of `execution`.
async fn build(
    connection: &mut PgConnection,
    cursor: feed::Cursor,
    (namespace, run_id): (i16, RunId),
) -> Result<(Option<Progress>, Turn), Error> {
    let runs = sqlx::query!(
        "SELECT shard, namespace, run_id FROM execution WHERE (namespace, run_id) > ($1, $2)
         ORDER BY namespace, run_id LIMIT $3",
        namespace,
        run_id.0,
        VISIBILITY_BUILD_PAGE,
    )
    .fetch_all(&mut *connection)
    .await?;
    let Some(last) = runs.last().map(|run| (run.namespace, RunId(run.run_id))) else {
        return Ok((Some(Progress::Reading(cursor)), Turn::More));
    };
    let (shards, run_ids): (Vec<i16>, Vec<Uuid>) =
        runs.into_iter().map(|run| (run.shard, run.run_id)).unzip();
    project(connection, &shards, &run_ids).await?;
    let (namespace, run_id) = last;
    let building = Progress::Building {
        cursor,
        namespace,
        run_id,
    };
    Ok((Some(building), Turn::Building))
}

/// Reads the next page of the feed.
async fn read(
    connection: &mut PgConnection,
    mut cursor: feed::Cursor,
    builds: i64,
) -> Result<(Option<Progress>, Turn), Error> {
    let page = match feed::after(&mut *connection, &cursor, VISIBILITY_PAGE).await {
        Ok(Some(page)) => page,
        Ok(None) => {
            tracing::warn!("the lists have missed something in the feed; they are made anew");
            return Ok((Some(Progress::ToBuild), Turn::Building));
        }
        Err(error @ Error::Corrupt { .. }) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the lists can't be brought forward by the feed; they are made anew"
            );
            return Ok((Some(Progress::ToBuild), Turn::Building));
        }
        Err(error) => return Err(error),
    };
    let turn = if page.is_last {
        Turn::Done { builds }
    } else {
        Turn::More
    };
    let before = cursor.clone();
    cursor.turn(&page);
    if cursor == before {
        return Ok((None, turn));
    }
    let changes = page.batches.iter().flat_map(|batch| &batch.changes);
    let runs: BTreeSet<(Uuid, i16)> = changes
        .filter(|change| change.execution_changed)
        .map(|change| (change.run_id.0, change.shard))
        .collect();
    let (run_ids, shards): (Vec<Uuid>, Vec<i16>) = runs.into_iter().unzip();
    project(connection, &shards, &run_ids).await?;
    Ok((Some(Progress::Reading(cursor)), turn))
}

/// Writes what `execution` says of these runs, some at a time.
async fn project(
    connection: &mut PgConnection,
    shards: &[i16],
    run_ids: &[Uuid],
) -> Result<(), Error> {
    let some = shards
        .chunks(VISIBILITY_CHUNK)
        .zip(run_ids.chunks(VISIBILITY_CHUNK));
    for (shards, run_ids) in some {
        let changed = sqlx::query!(
            r#"SELECT namespace AS "namespace!", run_id AS "run_id!", search_attributes AS "search_attributes!"
               FROM project_visibility($1, $2)"#,
            shards,
            run_ids,
        )
        .fetch_all(&mut *connection)
        .await?;
        let changed: Vec<attributes::Of> = changed
            .into_iter()
            .map(|run| attributes::Of {
                namespace: run.namespace,
                run_id: run.run_id,
                values: run.search_attributes,
            })
            .collect();
        attributes::write(connection, &changed).await?;
    }
    Ok(())
}
