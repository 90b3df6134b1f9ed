//! A load that goes on: whether the second hour is as fast as the first, and what checkpoints, vacuum and memory do meanwhile.

use std::{io::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    kind::Kind,
    meter::{Measured, Meter, Store},
    open::resident_of,
    system::{Case, Ground},
};

/// How long it goes on.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many clients the closed loop has, over HTTP.
    #[arg(long, default_value_t = 128)]
    clients: usize,
    /// How many minutes closed runs are kept; for ever unless given.
    #[arg(long, value_name = "MINUTES")]
    retention: Option<u64>,
    /// Leave histories unsealed.
    #[arg(long)]
    unsealed: bool,
    /// After how many transactions Postgres has to freeze a table, `autovacuum_freeze_max_age`; as it is unless given.
    #[arg(long, value_name = "TRANSACTIONS")]
    pub(crate) freeze_max_age: Option<u32>,
    /// Where Postgres's binaries are.
    #[arg(long)]
    pub(crate) postgres: Option<PathBuf>,
}

const HEAD: &str = "\
| minute | workflows/s | p50 ms | p99 ms | WAL bytes/wf | CPU ms/wf: engine, worker | Postgres | engine MiB | database MiB | dead rows | vacuums | checkpoint | oldest closed s | oldest xid |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

/// What Postgres has kept and done so far.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: i64,
    dead_rows: i64,
    vacuums: i64,
    /// Where the log begins that a recovery would read: moved by each checkpoint.
    redo: i64,
    /// How long the run has been closed that has been so for the longest, in seconds: the retention, and what deletion lags behind.
    oldest_closed: f64,
    /// How many transactions ago that table was frozen for which this is the longest ago.
    oldest_transaction: i64,
}

/// Runs workflows of one activity and returns a line a minute; each is also written to stderr when it is known.
pub(crate) async fn measure(options: &Options, folder: PathBuf, url: &str) -> Result<String> {
    let ground = Ground {
        meter: Meter::open(url, &folder).await?,
        url: url.to_owned(),
        folder,
        is_sealed: !options.unsealed,
    };
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let mut system = Kind::Http.start(&ground).await?;
    // Counting the rows of our history would soon be the larger load.
    system.store = Store::Postgres;
    if let Some(minutes) = options.retention {
        let kept = format!("UPDATE namespace SET retention = '{minutes} minutes'");
        client.batch_execute(&kept).await?;
    }
    let engine = system.processes.first().context("the engine")?.pid;
    let case = Case {
        activities: 1,
        clients: options.clients,
    };
    let mut table = HEAD.to_owned();
    write!(std::io::stderr(), "{HEAD}")?;
    let mut before = kept(&client).await?;
    for minute in 1..=options.minutes {
        let time = Duration::from_mins(1);
        let measured = system.measure(0, case, time, &ground.meter).await?;
        let now = kept(&client).await?;
        let line = line(minute, measured, resident_of(engine)?, before, now)?;
        write!(std::io::stderr(), "{line}")?;
        table.push_str(&line);
        before = now;
    }
    system.stop().await?;
    Ok(table)
}

fn line(minute: u64, measured: Measured, resident: u64, before: Kept, now: Kept) -> Result<String> {
    let cost = measured.cost.context("what it took")?;
    let postgres = cost.in_postgres.context("what it took in Postgres")?;
    Ok(format!(
        "| {minute} | {:.0} | {:.2} | {:.2} | {:.0} | {:.3} | {:.3} | {} | {} | {} | {} | {} | {:.0} | {} |\n",
        measured.rate(),
        measured.figures.p50_ms,
        measured.figures.p99_ms,
        postgres.wal_bytes,
        cost.engine_ms,
        postgres.cpu_ms,
        resident >> 20,
        now.bytes >> 20,
        now.dead_rows,
        now.vacuums - before.vacuums,
        if now.redo == before.redo { "" } else { "yes" },
        now.oldest_closed,
        now.oldest_transaction,
    ))
}

async fn kept(client: &tokio_postgres::Client) -> Result<Kept> {
    let row = client
        .query_one(
            "SELECT pg_database_size(current_database()), sum(n_dead_tup)::bigint, sum(autovacuum_count)::bigint,
                    (SELECT (redo_lsn - '0/0'::pg_lsn)::bigint FROM pg_control_checkpoint()),
                    (SELECT extract(epoch FROM clock_timestamp() - min(v.closed_at))::float8 FROM visibility v WHERE v.namespace = 1),
                    (SELECT max(age(c.relfrozenxid))::bigint FROM pg_class c WHERE c.relfrozenxid <> 0)
             FROM pg_stat_user_tables",
            &[],
        )
        .await?;
    Ok(Kept {
        bytes: row.get(0),
        dead_rows: row.get(1),
        vacuums: row.get(2),
        redo: row.get(3),
        oldest_closed: row.get::<_, Option<f64>>(4).unwrap_or(0.0),
        oldest_transaction: row.get(5),
    })
}
