//! A database for each test, and histories in it.

use std::str::FromStr as _;

use history::{
    Event, EventId, EventKind, Namespace, Record, RunId, Timestamp, WorkflowId,
    chain::{self, GENESIS, Hash, VERSION},
    record::Noted,
};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

/// 2026-11-23T06:00:00Z: when every history here begins.
pub(crate) const START: i64 = 1_795_413_600_000_000;

/// Creates a database for one test and brings it up to date.
pub(crate) async fn database() -> PgPool {
    let server = std::env::var("COREASON_TEST_DATABASE_URL")
        .expect("./test sets COREASON_TEST_DATABASE_URL");
    let options = PgConnectOptions::from_str(&server)
        .expect("COREASON_TEST_DATABASE_URL is a URL of Postgres");
    let name = format!("audit_{}", Uuid::new_v4().simple());
    let server = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .expect("the test server answers");
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let pool = PgPoolOptions::new()
        .max_connections(3)
        .connect_with(options.database(&name))
        .await
        .expect("the test server answers");
    sqlx::migrate!("../migrations")
        .run(&pool)
        .await
        .expect("the migrations run");
    pool
}

/// Runs statements.
pub(crate) async fn execute(pool: &PgPool, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await;
    done.map_err(|error| format!("{error}: {sql}"))
        .expect("the statements run");
}

/// Returns the rows of a query as lines of `column | column`.
pub(crate) async fn lines(pool: &PgPool, sql: &str) -> String {
    let sql = format!(
        "SELECT array_to_string(ARRAY(SELECT coalesce(v.value, '-') FROM json_each_text(to_json(q)) AS v), ' | ') FROM ({sql}) AS q"
    );
    let lines: Result<Vec<String>, _> = sqlx::query_scalar(AssertSqlSafe(sql.as_str()))
        .fetch_all(pool)
        .await;
    lines
        .map_err(|error| format!("{error}: {sql}"))
        .expect("the query runs")
        .join("\n")
}

/// A run that is being written.
pub(crate) struct Run {
    pub(crate) shard: i16,
    pub(crate) id: RunId,
    workflow_id: WorkflowId,
    parent: Option<(String, RunId)>,
    rows: Vec<String>,
    seq: i32,
    next_event_id: i64,
    previous: Hash,
}

impl Run {
    /// Begins a run; `number` makes its id.
    pub(crate) fn new(workflow_id: &str, number: u128) -> Self {
        let millis = u128::from(START.unsigned_abs() / 1000);
        let workflow_id = WorkflowId::known(workflow_id);
        Self {
            shard: engine::shard::of(&Namespace::known("default"), &workflow_id),
            id: RunId(Uuid::from_u128(
                (millis << 80) | (0x7000_8000_0000_0000_0000 + number),
            )),
            workflow_id,
            parent: None,
            rows: Vec::new(),
            seq: 0,
            next_event_id: 1,
            previous: GENESIS,
        }
    }

    /// Makes it a child.
    pub(crate) fn of(mut self, parent: &Self) -> Self {
        self.parent = Some((parent.workflow_id.to_string(), parent.id));
        self
    }

    /// Adds a row: milliseconds after the start, and the stored form of an event or note.
    pub(crate) fn commit(mut self, records: &[(i64, &str)]) -> Self {
        let first_event_id = self.next_event_id;
        let records: Vec<Record> = records
            .iter()
            .map(|(millis, kind)| self.record(*millis, kind))
            .collect();
        let text = serde_json::to_string(&records).expect("records are JSON");
        let row = chain::Row {
            version: VERSION,
            namespace: "default",
            run_id: self.id.0,
            seq: self.seq,
            first_event_id,
            records: &text,
        };
        self.previous = chain::hash(&self.previous, row);
        let hash = hex(&self.previous);
        self.rows.push(format!(
            "INSERT INTO history VALUES ({}, '{}', {}, {first_event_id}, {VERSION}, $row${text}$row$, '\\x{hash}')",
            self.shard, self.id, self.seq
        ));
        self.seq += 1;
        self
    }

    /// Adds what is kept beside the log of an activity, or of the workflow task: milliseconds after the start, and a note.
    pub(crate) fn keep(mut self, event_id: i64, millis: i64, note: &str) -> Self {
        let record = self.record(millis, note);
        let text = serde_json::to_string(&record).expect("a note is JSON");
        self.rows.push(format!(
            "INSERT INTO attempt VALUES ({}, '{}', {event_id}, {VERSION}, $row${text}$row$)",
            self.shard, self.id
        ));
        self
    }

    fn record(&mut self, millis: i64, kind: &str) -> Record {
        let at = Timestamp(START + millis * 1000);
        // A text of the test may name this run, whose id it does not know, and its workflow.
        let kind = (kind.replace("$run", &self.id.to_string()))
            .replace("$workflow", self.workflow_id.as_str());
        if let Ok(kind) = serde_json::from_str::<EventKind>(&kind) {
            let id = EventId(self.next_event_id);
            self.next_event_id += 1;
            return Record::Event(Event { id, at, kind }.into());
        }
        let note = serde_json::from_str(&kind)
            .map_err(|error| format!("{error}: {kind}"))
            .expect("the text is an event or a note");
        Record::Note(Noted { at, note })
    }

    /// Stores an open run.
    pub(crate) async fn open(&self, pool: &PgPool) {
        self.store(pool, "1, NULL, NULL").await;
    }

    /// Stores a run that closed with a status, milliseconds after the start.
    pub(crate) async fn close(&self, pool: &PgPool, status: i16, millis: i64) {
        let at = format!(
            "timestamptz 'epoch' + {} * interval '1 microsecond'",
            START + millis * 1000
        );
        self.store(pool, &format!("{status}, {at}, {}", self.next_event_id - 1))
            .await;
    }

    async fn store(&self, pool: &PgPool, close: &str) {
        let (parent_id, parent_run) = match &self.parent {
            Some((id, run_id)) => (format!("'{id}'"), format!("'{run_id}'")),
            None => ("NULL".to_owned(), "NULL".to_owned()),
        };
        let Self {
            shard,
            id: run_id,
            workflow_id,
            ..
        } = self;
        execute(
            pool,
            &format!(
                "INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id, parent_run_id,
                                        parent_workflow_id, request_id, started_at, status, closed_at, history_length)
                 VALUES ({shard}, '{run_id}', 1, '{workflow_id}', 'Order', 'orders', '{run_id}', {parent_run}, {parent_id}, 'request',
                         timestamptz 'epoch' + {START} * interval '1 microsecond', {close})"
            ),
        )
        .await;
        for row in &self.rows {
            execute(pool, row).await;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The events that begin a run.
pub(crate) const STARTED: &str = r#"{"WorkflowExecutionStarted":{"workflow_type":"Order","workflow_id":"$workflow","task_queue":"orders","input":[{"$p":{"item":17}}],
    "original_execution_run_id":"$run","first_execution_run_id":"$run","attempt":1,"identity":"mara@desk"}}"#;
pub(crate) const TASK_SCHEDULED: &str = r#"{"WorkflowTaskScheduled":{"task_queue":"orders","start_to_close_timeout":10000,"attempt":1}}"#;
pub(crate) const TASK_STARTED: &str = r#"{"WorkflowTaskStarted":{"scheduled_event_id":2}}"#;
pub(crate) const TASK_COMPLETED: &str =
    r#"{"WorkflowTaskCompleted":{"scheduled_event_id":2,"started_event_id":3}}"#;
