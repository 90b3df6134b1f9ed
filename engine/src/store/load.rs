//! Reads of runs: one that is cold, all that are open at takeover, pages of a history.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use futures::TryStreamExt as _;
use history::{
    Event, EventId, Execution, Namespace, Record, RunId, Timestamp, WorkflowId,
    chain::{self, Hash},
    record,
};
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Error, commit::OpenRow};
use crate::limits::PARKED_PAGE;

/// The most rows of history that are handed over at once to be folded, and how many such chunks may wait.
const ROWS_READ: usize = 256;
const CHUNKS_READ: usize = 16;

/// A namespace, as rows and as users know it.
#[derive(Debug, Clone)]
pub(crate) struct Ns {
    pub(crate) id: i16,
    pub(crate) name: Namespace,
}

impl PartialEq for Ns {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Ns {}

impl Ord for Ns {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Ns {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for Ns {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The namespaces of this database, by name.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces(Arc<RwLock<HashMap<Namespace, i16>>>);

impl Namespaces {
    #[cfg(test)]
    pub(crate) fn only(namespace: &Ns) -> Self {
        let by_name = HashMap::from([(namespace.name.clone(), namespace.id)]);
        Self(Arc::new(RwLock::new(by_name)))
    }

    /// Reads them all.
    pub(crate) async fn load(pool: &PgPool) -> Result<Self, Error> {
        let by_name = select_namespaces(pool).await?;
        Ok(Self(Arc::new(RwLock::new(by_name))))
    }

    /// Reads them again: another process may have made one since.
    async fn read_again(&self, pool: &PgPool) -> Result<(), Error> {
        let by_name = select_namespaces(pool).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        Ok(())
    }

    /// Returns the namespace of that name.
    pub(crate) fn get(&self, name: &Namespace) -> Result<Ns, crate::Error> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match by_name.get_key_value(name) {
            Some((name, id)) => Ok(Ns {
                id: *id,
                name: name.clone(),
            }),
            None => Err(crate::Error::NamespaceNotFound(name.clone())),
        }
    }

    /// Returns the namespace of that number.
    pub(crate) fn by_id(&self, id: i16) -> Option<Ns> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .iter()
            .find(|(_, known)| **known == id)
            .map(|(name, _)| Ns {
                id,
                name: name.clone(),
            })
    }
}

async fn select_namespaces(pool: &PgPool) -> Result<HashMap<Namespace, i16>, Error> {
    let rows = sqlx::query!("SELECT id, name FROM namespace")
        .fetch_all(pool)
        .await?;
    let by_name = rows
        .into_iter()
        .map(|row| (Namespace::known(row.name), row.id));
    Ok(by_name.collect())
}

/// A run, folded from its rows.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) workflow_id: WorkflowId,
    pub(crate) execution: Execution,
    /// The whole history, when a workflow task waits for it; else empty.
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) rows: i32,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    /// What has a row in `attempt`, with the attempt that it says has started.
    pub(crate) attempts: BTreeMap<EventId, Option<u32>>,
    /// Whether its id means this run.
    pub(crate) current: bool,
    /// What `open_run` says of it.
    pub(crate) open_row: Option<OpenRow>,
    /// Whether it has a row in `outbox`.
    pub(crate) owes: bool,
}

/// A run to be folded.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) shard: i16,
    pub(crate) run_id: Uuid,
    pub(crate) namespace: i16,
    pub(crate) workflow_id: String,
    pub(crate) current: bool,
    /// From `open_run`; `None` when it has no row there.
    pub(crate) parked: Option<bool>,
    pub(crate) due_at: Option<i64>,
    pub(crate) owes: bool,
}

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
        r#"SELECT e.shard, e.run_id, e.namespace, e.workflow_id, c.run_id = e.run_id AS "current!",
                  o.parked AS "parked?", (extract(epoch FROM o.due_at) * 1000000)::bigint AS due_at,
                  EXISTS (SELECT FROM outbox o WHERE o.shard = e.shard AND o.run_id = e.run_id) AS "owes!"
           FROM current_run c
           JOIN execution e ON e.shard = c.shard AND e.run_id = coalesce($4, c.run_id)
           LEFT JOIN open_run o ON o.shard = e.shard AND o.run_id = e.run_id
           WHERE c.shard = $1 AND c.namespace = $2 AND c.workflow_id = $3
             AND e.namespace = c.namespace AND e.workflow_id = c.workflow_id"#,
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
    fold(pool, &namespace.name, vec![header])
        .await?
        .pop()
        .transpose()
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
    asked: &[(i16, RunId)],
    bytes: u64,
) -> Result<Part, Error> {
    let shards: Vec<i16> = asked.iter().map(|(shard, _)| *shard).collect();
    let run_ids: Vec<Uuid> = asked.iter().map(|(_, run_id)| run_id.0).collect();
    let most = i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut rows = sqlx::query!(
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
                  EXISTS (SELECT FROM outbox o WHERE o.shard = e.shard AND o.run_id = e.run_id) AS "owes!"
           FROM part p
           LEFT JOIN execution e ON e.shard = ($1::smallint[])[p.n] AND e.run_id = ($2::uuid[])[p.n]
           LEFT JOIN current_run c ON c.shard = e.shard AND c.namespace = e.namespace AND c.workflow_id = e.workflow_id
           LEFT JOIN open_run o ON o.shard = e.shard AND o.run_id = e.run_id
           WHERE p.n > 0
           ORDER BY p.n"#,
        &shards,
        &run_ids,
        most,
    )
    .fetch_all(pool)
    .await?;
    let before = rows.len().checked_sub(2).map_or(0, |n| rows[n].bytes);
    if rows.last().is_some_and(|last| last.bytes > most) && before > 0 {
        rows.pop();
    }
    let read = rows.len();
    let headers = rows.into_iter().filter_map(|row| {
        Some(Header {
            shard: row.shard?,
            run_id: row.run_id?,
            namespace: row.namespace?,
            workflow_id: row.workflow_id?,
            current: row.current,
            parked: row.parked,
            due_at: row.due_at,
            owes: row.owes,
        })
    });
    let runs = fold_all(pool, namespaces, headers.collect()).await?;
    Ok(Part { runs, read })
}

/// Returns the ids of the runs of these shards that are folded at takeover: open and not parked, or closed and still owing. Open runs
/// that started at or after `open_since` need not have a row in `open_run`.
pub(crate) async fn select_hot(
    pool: &PgPool,
    shards: &[i16],
    open_since: Timestamp,
) -> Result<Vec<(i16, RunId)>, Error> {
    let hot = sqlx::query!(
        r#"SELECT h.shard AS "shard!", h.run_id AS "run_id!"
           FROM (
               -- Not the table "namespace": one that is missing there must not hide its runs.
               WITH RECURSIVE n AS (
                   SELECT min(namespace) AS id FROM execution
                   UNION ALL
                   SELECT (SELECT min(namespace) FROM execution WHERE namespace > n.id) FROM n WHERE n.id IS NOT NULL
               )
               SELECT e.shard, e.run_id
               FROM n
               JOIN LATERAL (SELECT * FROM execution WHERE namespace = n.id AND run_id >= $1) e ON e.closed_at IS NULL
               WHERE NOT EXISTS (SELECT FROM open_run o WHERE o.shard = e.shard AND o.run_id = e.run_id)
               UNION ALL
               SELECT shard, run_id FROM open_run WHERE NOT parked
               UNION ALL
               SELECT shard, run_id FROM outbox
           ) h
           WHERE h.shard = ANY ($2)"#,
        first_run_id(open_since),
        shards,
    )
    .fetch(pool)
    .map_ok(|row| (row.shard, RunId(row.run_id)));
    Ok(hot.try_collect().await?)
}

/// Returns the smallest run id of a moment.
fn first_run_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from((at.0.max(0) / 1000).unsigned_abs()) << 80)
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
    let mut rows = sqlx::query_as!(
        Row,
        // One statement, so that both are of the same moment.
        r#"SELECT h.run_id AS "run_id!", h.seq AS "seq?", h.version AS "version!", h.records AS "records!", h.hash AS "hash?"
           FROM unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
           JOIN history h ON h.shard = u.shard AND h.run_id = u.run_id
           UNION ALL
           SELECT a.run_id, NULL, a.version, a.note, NULL
           FROM unnest($1::smallint[], $2::uuid[]) AS u (shard, run_id)
           JOIN attempt a ON a.shard = u.shard AND a.run_id = u.run_id
           ORDER BY 1, 2 NULLS LAST"#,
        &shards,
        &run_ids,
    )
    .fetch(pool)
    .try_ready_chunks(ROWS_READ)
    .map_err(|error| error.1);
    // A thread is taken only when there is a connection and something to fold.
    let mut next = rows.try_next().await?;
    let (sender, mut read) = mpsc::channel::<Vec<Row>>(CHUNKS_READ);
    let namespace = namespace.clone();
    let folding = tokio::task::spawn_blocking(move || {
        let mut runs: HashMap<Uuid, Folding> = headers
            .iter()
            .map(|header| (header.run_id, Folding::new(&namespace, header)))
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
    });
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

/// A row of history, as it is read, or one of `attempt`, which come after those.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) run_id: Uuid,
    /// `None` in `attempt`.
    pub(crate) seq: Option<i32>,
    /// Of the stored form.
    pub(crate) version: i16,
    /// The records, or the note.
    pub(crate) records: String,
    /// `None` in `attempt`.
    pub(crate) hash: Option<Vec<u8>>,
}

/// A run that is being folded, one row after the other. A row that is not what was committed is an error: what would be written
/// after it would be chained to it, as if it had been.
pub(crate) struct Folding {
    namespace: Namespace,
    execution: Execution,
    events: Vec<Arc<Event>>,
    rows: i32,
    bytes: u64,
    hash: Hash,
    attempts: BTreeMap<EventId, Option<u32>>,
    /// What is wrong with the first row that is no good; those behind it are not looked at.
    corrupt: Option<Error>,
}

impl Folding {
    pub(crate) fn new(namespace: &Namespace, header: &Header) -> Self {
        Self {
            namespace: namespace.clone(),
            execution: Execution::new(namespace.clone(), RunId(header.run_id)),
            events: Vec::new(),
            rows: 0,
            bytes: 0,
            hash: chain::GENESIS,
            attempts: BTreeMap::new(),
            corrupt: None,
        }
    }

    /// Folds the next row.
    pub(crate) fn row(&mut self, row: &Row) {
        if self.corrupt.is_some() {
            return;
        }
        let applied = match (row.seq, &row.hash) {
            (Some(seq), Some(hash)) => self.apply(row, seq, hash),
            _ => self.apply_attempts(row).map_err(|problem| Error::Corrupt {
                table: "attempt",
                row: format!("run {}", self.execution.run_id()),
                problem,
            }),
        };
        self.corrupt = applied.err();
    }

    /// Puts things where a row of `attempt` says that they stand.
    fn apply_attempts(&mut self, row: &Row) -> Result<(), String> {
        let record =
            record::read_one(row.version, &row.records).map_err(|error| error.to_string())?;
        #[cfg(test)]
        let record = crate::sim::planted::forget(record);
        self.execution
            .apply(&record)
            .map_err(|error| error.to_string())?;
        if let Record::Note(noted) = record
            && let Some(about) = noted.note.about()
        {
            self.attempts.insert(about, noted.note.started_attempt());
        }
        Ok(())
    }

    fn apply(&mut self, row: &Row, seq: i32, hash: &[u8]) -> Result<(), Error> {
        if seq != self.rows {
            return Err(self.altered(self.rows, format!("missing; row {seq} follows")));
        }
        let chained = chain::Row {
            version: row.version,
            namespace: self.namespace.as_str(),
            run_id: row.run_id,
            seq,
            first_event_id: self.execution.next_event_id().0,
            records: &row.records,
        };
        self.hash = chain::hash(&self.hash, chained);
        if self.hash.as_slice() != hash {
            let problem = "not what was committed: its hash is another";
            return Err(self.altered(seq, problem.to_owned()));
        }
        // What was committed, then; a newer binary may have done it.
        let records = record::read(row.version, &row.records).map_err(|error| Error::Corrupt {
            table: "history",
            row: self.row_name(seq),
            problem: error.to_string(),
        })?;
        for record in &records {
            if let Err(error) = self.execution.apply(record) {
                return Err(self.altered(seq, error.to_string()));
            }
            self.events.extend(record.event().cloned());
        }
        self.rows += 1;
        self.bytes += row.records.len() as u64;
        Ok(())
    }

    /// Returns the run, or what is wrong with it.
    pub(crate) fn end(mut self, header: &Header) -> Result<Loaded, Error> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        if self.rows == 0 {
            return Err(self.altered(0, "missing: the run has no history".to_owned()));
        }
        if self.execution.workflow_task().is_none() {
            self.events = Vec::new();
        }
        Ok(Loaded {
            workflow_id: WorkflowId::known(&header.workflow_id),
            execution: self.execution,
            events: self.events,
            rows: self.rows,
            hash: self.hash,
            bytes: self.bytes,
            attempts: self.attempts,
            current: header.current,
            open_row: header.parked.map(|parked| {
                if parked {
                    OpenRow::Parked(header.due_at.map(Timestamp))
                } else {
                    OpenRow::Hot
                }
            }),
            owes: header.owes,
        })
    }

    fn altered(&self, seq: i32, problem: String) -> Error {
        Error::Altered {
            row: self.row_name(seq),
            problem,
        }
    }

    fn row_name(&self, seq: i32) -> String {
        format!("run {} row {seq}", self.execution.run_id())
    }
}

/// Returns at most `limit` events of a run after `after`.
pub(crate) async fn history_page(
    pool: &PgPool,
    shard: i16,
    run_id: RunId,
    after: EventId,
    limit: usize,
) -> Result<Vec<Arc<Event>>, Error> {
    // The row that holds the first wanted event starts at or before it.
    let rows = sqlx::query!(
        r#"SELECT seq, version, records FROM history
           WHERE shard = $1 AND run_id = $2
             AND seq >= coalesce((SELECT max(seq) FROM history WHERE shard = $1 AND run_id = $2 AND first_event_id <= $3), 0)
           ORDER BY seq
           LIMIT $4"#,
        shard,
        run_id.0,
        after.next().0,
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(pool)
    .await?;
    let mut events = Vec::new();
    for row in rows {
        let records = record::read(row.version, &row.records).map_err(|error| Error::Corrupt {
            table: "history",
            row: format!("run {run_id} row {}", row.seq),
            problem: error.to_string(),
        })?;
        events.extend(
            records
                .iter()
                .filter_map(|record| record.event().filter(|event| event.id > after))
                .cloned(),
        );
        if events.len() >= limit {
            events.truncate(limit);
            break;
        }
    }
    Ok(events)
}

/// Parked runs whose deadlines are to be known.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// Those of these shards.
    pub(crate) shards: Arc<[i16]>,
    /// After this deadline, and of those with the same one after this run.
    pub(crate) after: (Timestamp, RunId),
    /// Before this one.
    pub(crate) before: Timestamp,
}

/// When a parked run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) shard: i16,
    pub(crate) run_id: RunId,
}

/// Returns the next parked runs that are due, in the order of their deadlines.
pub(crate) async fn select_parked_due(pool: &PgPool, window: &Window) -> Result<Vec<Due>, Error> {
    let due = sqlx::query!(
        r#"SELECT shard, run_id, (extract(epoch FROM due_at) * 1000000)::bigint AS "due_at!"
           FROM open_run
           WHERE parked AND due_at IS NOT NULL
             AND (due_at, run_id) > (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2)
             AND due_at < timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
             AND shard = ANY ($4)
           ORDER BY due_at, run_id
           LIMIT $5"#,
        window.after.0.0,
        window.after.1.0,
        window.before.0,
        &*window.shards,
        i64::try_from(PARKED_PAGE).unwrap_or(i64::MAX),
    )
    .fetch(pool)
    .map_ok(|row| Due {
        at: Timestamp(row.due_at),
        shard: row.shard,
        run_id: RunId(row.run_id),
    });
    Ok(due.try_collect().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first row of a run, with fields that a newer binary may have added.
    fn started() -> String {
        let request = history::decide::StartWorkflow {
            workflow_id: WorkflowId::known("w"),
            workflow_type: history::WorkflowType::known("type"),
            task_queue: history::TaskQueue::known("q"),
            input: history::Payloads::default(),
            workflow_execution_timeout: history::Millis::ZERO,
            workflow_run_timeout: history::Millis::ZERO,
            workflow_task_timeout: history::Millis::ZERO,
            request_id: history::RequestId::known("r"),
            identity: None,
            reuse_policy: history::event::WorkflowIdReusePolicy::default(),
            conflict_policy: history::event::WorkflowIdConflictPolicy::default(),
            retry_policy: None,
            cron_schedule: String::new(),
            start_delay: history::Millis::ZERO,
            memo: BTreeMap::new(),
            search_attributes: BTreeMap::new(),
            header: BTreeMap::new(),
            parent: None,
            continued: None,
        };
        let run_id = RunId(Uuid::from_u128(1));
        let namespace = Namespace::known("default");
        let started = history::decide::start(&namespace, run_id, &request, Timestamp(5)).unwrap();
        serde_json::to_string(&started.records)
            .unwrap()
            .replace(r#""t":5,"#, r#""t":5,"by":"a newer one","#)
            .replace(
                r#"{"workflow_type""#,
                r#"{"newer":[{"$p":1}],"workflow_type""#,
            )
    }

    /// Folds one row of this form, hashed as such.
    fn fold_one(version: i16, records: &str) -> Result<Loaded, Error> {
        let namespace = Namespace::known("default");
        let header = Header {
            shard: 0,
            run_id: Uuid::from_u128(1),
            namespace: 1,
            workflow_id: "w".to_owned(),
            current: true,
            parked: None,
            due_at: None,
            owes: false,
        };
        let hash = chain::hash(
            &chain::GENESIS,
            chain::Row {
                version,
                namespace: namespace.as_str(),
                run_id: header.run_id,
                seq: 0,
                first_event_id: 1,
                records,
            },
        );
        let mut folding = Folding::new(&namespace, &header);
        folding.row(&Row {
            run_id: header.run_id,
            seq: Some(0),
            version,
            records: records.to_owned(),
            hash: Some(hash.to_vec()),
        });
        folding.end(&header)
    }

    #[test]
    fn a_row_with_a_field_of_a_newer_binary_is_folded() {
        let loaded = fold_one(chain::VERSION, &started()).unwrap();
        assert_eq!(loaded.execution.workflow_type().as_str(), "type");
        assert_eq!(loaded.rows, 1);
    }

    #[test]
    fn a_row_of_another_form_is_named_as_such_and_not_as_tampered_with() {
        let error = fold_one(chain::VERSION + 1, &started()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("stored form 2"), "{said}");
        assert!(!said.contains("not what was committed"), "{said}");
    }
}
