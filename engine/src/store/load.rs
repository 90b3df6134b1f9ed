//! Reads of runs: one that is cold, or several by their ids.

use std::collections::{BTreeMap, HashMap};

use futures::{Stream, TryStreamExt as _};
use history::{Namespace, RunId, WorkflowId};
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    Error, RunRef,
    namespaces::{Namespaces, Ns},
};
pub(crate) use super::{
    folding::{Folding, Header, Loaded, Row},
    parked::{Due, Window},
};

/// The most rows of history that are handed over at once to be folded, and how many such chunks may wait.
const ROWS_READ: usize = 256;
const CHUNKS_READ: usize = 16;

/// Returns a run by its id, or the run that a workflow id means now.
pub(crate) async fn load(
    pool: &PgPool,
    namespace: &Ns,
    shard: i16,
    workflow_id: &WorkflowId,
    run_id: Option<RunId>,
) -> Result<Option<Loaded>, Error> {
    let header = sqlx::query_as!(
        Header,
        r#"SELECT e.shard, e.run_id, e.namespace, e.workflow_id, c.run_id IS NOT NULL AND c.run_id = e.run_id AS "current!",
                  o.parked AS "parked?", (extract(epoch FROM o.due_at) * 1000000)::bigint AS due_at,
                  EXISTS (SELECT FROM outbox o WHERE o.shard = e.shard AND o.run_id = e.run_id) AS "in_outbox!"
           FROM execution e
           LEFT JOIN current_run c ON c.shard = e.shard AND c.namespace = e.namespace AND c.workflow_id = e.workflow_id
           LEFT JOIN open_run o ON o.shard = e.shard AND o.run_id = e.run_id
           WHERE e.shard = $1 AND e.namespace = $2 AND e.workflow_id = $3
             -- An earlier run is there though the latest one, and what the id means, was deleted.
             AND e.run_id = coalesce($4, (SELECT l.run_id FROM current_run l WHERE l.shard = $1 AND l.namespace = $2 AND l.workflow_id = $3))"#,
        shard,
        namespace.id,
        workflow_id.as_str(),
        run_id.map(|id| id.0),
    )
    .fetch_optional(pool)
    .await?;
    let Some(header) = header else {
        return Ok(None);
    };
    let this_run = header.run_id;
    let folded = fold(pool, &namespace.name, vec![header]).await?.pop();
    match folded.transpose() {
        Err(error) if is_gone(pool, shard, this_run).await? => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a run was deleted while it was read"
            );
            Ok(None)
        }
        folded => folded,
    }
}

/// Says whether a run is not there any more.
async fn is_gone(pool: &PgPool, shard: i16, run_id: Uuid) -> Result<bool, Error> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM execution WHERE shard = $1 AND run_id = $2) AS "there!""#,
        shard,
        run_id,
    )
    .fetch_one(pool)
    .await?;
    Ok(!there)
}

/// Some of the runs that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Those that are there, and can be folded.
    pub(crate) runs: Vec<(Ns, Loaded)>,
    /// How many were looked for, from the first one on.
    pub(crate) read: usize,
}

/// Returns runs by their ids, in that order, as many as have so many stored bytes together, and the first whatever it has. Those that
/// are not there are left out.
pub(crate) async fn load_all(
    pool: &PgPool,
    namespaces: &Namespaces,
    asked: &[RunRef],
    bytes: u64,
) -> Result<Part, Error> {
    let shards: Vec<i16> = asked.iter().map(|run| run.shard).collect();
    let run_ids: Vec<Uuid> = asked.iter().map(|run| run.run_id.0).collect();
    let most = i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut rows = select_part(pool, &shards, &run_ids, most).await?;
    let before = rows.len().checked_sub(2).map_or(0, |n| rows[n].bytes);
    if rows.last().is_some_and(|last| last.bytes > most) && before > 0 {
        rows.pop();
    }
    let read = rows.len();
    let headers = rows.into_iter().filter_map(PartRow::header).collect();
    let runs = fold_all(pool, namespaces, headers).await?;
    Ok(Part { runs, read })
}

/// A run that was asked for, if it is there.
struct PartRow {
    /// What it and those before it have in stored bytes.
    bytes: i64,
    shard: Option<i16>,
    run_id: Option<Uuid>,
    namespace: Option<i16>,
    workflow_id: Option<String>,
    current: bool,
    parked: Option<bool>,
    due_at: Option<i64>,
    in_outbox: bool,
}

impl PartRow {
    fn header(self) -> Option<Header> {
        Some(Header {
            shard: self.shard?,
            run_id: self.run_id?,
            namespace: self.namespace?,
            workflow_id: self.workflow_id?,
            current: self.current,
            parked: self.parked,
            due_at: self.due_at,
            in_outbox: self.in_outbox,
        })
    }
}

/// Looks for runs until they have more than `most` bytes.
async fn select_part(
    pool: &PgPool,
    shards: &[i16],
    run_ids: &[Uuid],
    most: i64,
) -> Result<Vec<PartRow>, sqlx::Error> {
    sqlx::query_as!(
        PartRow,
        r#"WITH RECURSIVE part AS (
               SELECT 0 AS n, 0::bigint AS bytes
               UNION ALL
               -- As far as they fit, and one more: what is behind that is not looked at. The length of a text is known without reading
               -- it, however long it is.
               SELECT p.n + 1,
                      p.bytes
                      + (SELECT coalesce(sum(octet_length(h.records)), 0)::bigint FROM history h
                         WHERE h.shard = ($1::smallint[])[p.n + 1] AND h.run_id = ($2::uuid[])[p.n + 1])
                      + (SELECT coalesce(sum(octet_length(a.note)), 0)::bigint FROM attempt a
                         WHERE a.shard = ($1::smallint[])[p.n + 1] AND a.run_id = ($2::uuid[])[p.n + 1])
               FROM part p
               WHERE p.n < cardinality($2::uuid[]) AND p.bytes <= $3
           )
           SELECT p.bytes AS "bytes!", e.shard AS "shard?", e.run_id AS "run_id?", e.namespace AS "namespace?",
                  e.workflow_id AS "workflow_id?", coalesce(c.run_id = e.run_id, false) AS "current!",
                  o.parked AS "parked?", (extract(epoch FROM o.due_at) * 1000000)::bigint AS due_at,
                  EXISTS (SELECT FROM outbox o WHERE o.shard = e.shard AND o.run_id = e.run_id) AS "in_outbox!"
           FROM part p
           LEFT JOIN execution e ON e.shard = ($1::smallint[])[p.n] AND e.run_id = ($2::uuid[])[p.n]
           LEFT JOIN current_run c ON c.shard = e.shard AND c.namespace = e.namespace AND c.workflow_id = e.workflow_id
           LEFT JOIN open_run o ON o.shard = e.shard AND o.run_id = e.run_id
           WHERE p.n > 0
           ORDER BY p.n"#,
        shards,
        run_ids,
        most,
    )
    .fetch_all(pool)
    .await
}

/// Folds runs from their rows. One that can't be folded is left out: the others have to go on, and whoever asks for it is told.
///
/// # Errors
/// [`Error::UnknownNamespace`] rather than without the runs of a namespace: nobody would ask for them, and their timers would be lost.
pub(crate) async fn fold_all(
    pool: &PgPool,
    namespaces: &Namespaces,
    headers: Vec<Header>,
) -> Result<Vec<(Ns, Loaded)>, Error> {
    let mut by_namespace = BTreeMap::<i16, Vec<Header>>::new();
    for header in headers {
        by_namespace
            .entry(header.namespace)
            .or_default()
            .push(header);
    }
    let mut folded = Vec::new();
    for (id, headers) in by_namespace {
        if namespaces.by_id(id).is_none() {
            namespaces.read_again(pool).await?;
        }
        let namespace = namespaces.by_id(id).ok_or(Error::UnknownNamespace { id })?;
        for run in fold(pool, &namespace.name, headers).await? {
            match run {
                Ok(run) => folded.push((namespace.clone(), run)),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an open run can't be folded and is left alone"
                ),
            }
        }
    }
    Ok(folded)
}

/// Folds runs of one namespace from their rows, while these are still being read.
async fn fold(
    pool: &PgPool,
    namespace: &Namespace,
    headers: Vec<Header>,
) -> Result<Vec<Result<Loaded, Error>>, Error> {
    let shards: Vec<i16> = headers.iter().map(|header| header.shard).collect();
    let run_ids: Vec<Uuid> = headers.iter().map(|header| header.run_id).collect();
    let mut rows = select_rows(pool, &shards, &run_ids);
    // A thread is taken only when there is a connection and something to fold.
    let mut next = rows.try_next().await?;
    let (sender, read) = mpsc::channel(CHUNKS_READ);
    let namespace = namespace.clone();
    let folding = tokio::task::spawn_blocking(move || fold_rows(&namespace, headers, read));
    while let Some(chunk) = next {
        // It ends before its rows only by a panic, which is told below.
        let _ = sender.send(chunk).await;
        next = rows.try_next().await?;
    }
    drop(sender);
    folding.await.map_err(|error| Error::Corrupt {
        table: "history",
        row: "a batch of runs".to_owned(),
        problem: error.to_string(),
    })
}

/// Returns the rows of runs, in the order of these, with those of `attempt` last. One statement, so that both are of the same moment.
fn select_rows<'a>(
    pool: &'a PgPool,
    shards: &'a [i16],
    run_ids: &'a [Uuid],
) -> impl Stream<Item = Result<Vec<Row>, sqlx::Error>> + Unpin + use<'a> {
    sqlx::query_as!(
        Row,
        r#"SELECT h.run_id AS "run_id!", h.seq AS "seq?", h.version AS "version!", h.records AS "records!", h.hash AS "hash?"
           FROM unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
           JOIN history h ON h.shard = u.shard AND h.run_id = u.run_id
           UNION ALL
           SELECT a.run_id, NULL, a.version, a.note, NULL
           FROM unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
           JOIN attempt a ON a.shard = u.shard AND a.run_id = u.run_id
           ORDER BY 1, 2 NULLS LAST"#,
        shards,
        run_ids,
    )
    .fetch(pool)
    .try_ready_chunks(ROWS_READ)
    .map_err(|error| error.1)
}

/// Folds runs from rows that are still being read.
fn fold_rows(
    namespace: &Namespace,
    headers: Vec<Header>,
    mut read: mpsc::Receiver<Vec<Row>>,
) -> Vec<Result<Loaded, Error>> {
    let mut runs: HashMap<Uuid, Folding> = headers
        .iter()
        .map(|header| (header.run_id, Folding::new(namespace, header)))
        .collect();
    while let Some(rows) = read.blocking_recv() {
        for row in rows {
            if let Some(run) = runs.get_mut(&row.run_id) {
                run.row(&row);
            }
        }
    }
    let folded = headers.into_iter().filter_map(|header| {
        let run = runs.remove(&header.run_id)?;
        Some(run.end(&header))
    });
    folded.collect()
}
