//! What Postgres and the processors do while a load runs.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};

use crate::{cpu, load::Figures};

/// Where a system keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In our tables.
    Ours,
    /// In Postgres.
    Postgres,
    Elsewhere,
}

/// Reads the counters, of the whole of Postgres.
pub(crate) struct Meter {
    client: tokio_postgres::Client,
    /// The process id of Postgres.
    postgres: u32,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy)]
struct Counters {
    transactions: i64,
    rows: Option<i64>,
    wal_bytes: i64,
    engine: Duration,
    postgres: Duration,
    client: Duration,
}

/// What a load did, and what it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) figures: Figures,
    pub(crate) cost: Option<Cost>,
}

/// What a workflow took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Rows of our history.
    pub(crate) rows: Option<f64>,
    pub(crate) in_postgres: Option<InPostgres>,
    /// Processor time, in milliseconds, of the engine and of what runs user code.
    pub(crate) engine_ms: f64,
    /// The same of the clients, where they are in a process of their own.
    pub(crate) client_ms: Option<f64>,
}

/// What a workflow took in Postgres.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPostgres {
    /// Transactions that wrote.
    pub(crate) commits: f64,
    pub(crate) wal_bytes: f64,
    pub(crate) cpu_ms: f64,
}

impl Measured {
    /// Returns the workflows a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn rate(&self) -> f64 {
        self.figures.workflows as f64 / self.figures.seconds
    }
}

impl Meter {
    /// Opens one for the Postgres at a URL, whose cluster is in a folder.
    pub(crate) async fn open(url: &str, folder: &Path) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let pid = std::fs::read_to_string(folder.join("pgdata/postmaster.pid"))?;
        Ok(Self {
            client,
            postgres: pid.lines().next().context("a process id")?.parse()?,
        })
    }

    /// Makes a database unless it is there.
    pub(crate) async fn make_database(&self, name: &str) -> Result<()> {
        let made = self
            .client
            .execute(&format!("CREATE DATABASE {name}"), &[])
            .await;
        match made {
            Err(error)
                if error.code() != Some(&tokio_postgres::error::SqlState::DUPLICATE_DATABASE) =>
            {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Runs a load and counts meanwhile; `engine` are the processes of what is loaded, and this one is its `client` or idle.
    pub(crate) async fn measure(
        &self,
        engine: &[u32],
        store: Store,
        client: bool,
        load: impl Future<Output = Result<Figures>>,
    ) -> Result<Measured> {
        let before = self.read(engine, store).await?;
        let figures = load.await?;
        let after = self.read(engine, store).await?;
        let mut cost = Cost::between(&before, &after, &figures);
        if store == Store::Elsewhere {
            cost.in_postgres = None;
        }
        if !client {
            cost.client_ms = None;
        }
        Ok(Measured {
            figures,
            cost: Some(cost),
        })
    }

    async fn read(&self, engine: &[u32], store: Store) -> Result<Counters> {
        // Each transaction that writes takes the next id; a read-only one takes none.
        let row = self
            .client
            .query_one(
                "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint",
                &[],
            )
            .await?;
        let rows = match store {
            Store::Ours => Some(
                self.client
                    .query_one("SELECT count(*) FROM history", &[])
                    .await?
                    .get(0),
            ),
            Store::Postgres | Store::Elsewhere => None,
        };
        let engine = engine.iter().map(|pid| cpu::of_process(*pid));
        Ok(Counters {
            transactions: row.get(0),
            wal_bytes: row.get(1),
            rows,
            engine: engine.sum::<Result<_>>()?,
            postgres: cpu::of_family(self.postgres)?,
            client: cpu::of_process(std::process::id())?,
        })
    }
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn between(before: &Counters, after: &Counters, figures: &Figures) -> Self {
        let workflows = figures.workflows.max(1) as f64;
        let count = |before: i64, after: i64| (after - before) as f64 / workflows;
        let millis = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1000.0 / workflows
        };
        Self {
            rows: before
                .rows
                .zip(after.rows)
                .map(|(before, after)| count(before, after)),
            in_postgres: Some(InPostgres {
                commits: count(before.transactions, after.transactions),
                wal_bytes: count(before.wal_bytes, after.wal_bytes),
                cpu_ms: millis(before.postgres, after.postgres),
            }),
            engine_ms: millis(before.engine, after.engine),
            client_ms: Some(millis(before.client, after.client)),
        }
    }
}

/// Returns the measurement with the median throughput.
pub(crate) fn median(mut measured: Vec<Measured>) -> Option<Measured> {
    measured.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    measured.get(measured.len() / 2).copied()
}
