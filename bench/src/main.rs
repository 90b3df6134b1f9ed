//! One table of figures from one run: what a workflow costs in process and over HTTP, beside the limit.
//!
//! `cargo run --release -p bench -- --help` says how; `bench/README.md` has the last table and how to read it.

mod http;
mod limit;
mod load;
mod open;
mod table;
mod workflows;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use coreason::{App, postgres};
use engine::{Config, Engine};
use history::{
    Millis, Namespace, Payload, Payloads, RequestId, TaskQueue, WorkflowId, WorkflowType,
    decide::StartWorkflow,
};
use load::{Figures, closed_loop};
use table::Row;
use uuid::Uuid;
use worker::{Connection, Worker};

/// How the bench runs.
#[derive(Debug, Parser)]
struct Options {
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each measurement is repeated; the median by throughput is shown.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// How many clients the closed loop has, beside the one.
    #[arg(long, default_value_t = 128)]
    clients: usize,
    /// Where Postgres's binaries are; found as `coreason dev` finds them unless given.
    #[arg(long)]
    postgres: Option<PathBuf>,
    /// How many runs to hold open at the end; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    open: usize,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("coreason-bench-{}", std::process::id()));
    let server = postgres::Server::start(postgres::Options {
        data_dir: folder.clone(),
        bin_dir: options.postgres.clone(),
        port: None,
    })
    .await?;
    let measured = measure(&options, server.url()).await;
    server.stop().await?;
    std::fs::remove_dir_all(&folder).context("the bench's folder")?;
    measured
}

/// What is measured: how many activities, how many clients, and by which way.
#[derive(Debug, Clone, Copy)]
struct Case {
    over: Way,
    activities: u32,
    clients: usize,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Process,
    Http,
}

impl Case {
    fn name(self) -> String {
        let way = match self.over {
            Way::Process => "in process",
            Way::Http => "HTTP",
        };
        let plural = if self.activities == 1 { "y" } else { "ies" };
        format!(
            "{way}, {} activit{plural}, {} in flight",
            self.activities, self.clients
        )
    }
}

async fn measure(options: &Options, url: &str) -> Result<()> {
    let engine = Engine::open(Config::new(url, "http://127.0.0.1")).await?;
    engine.owning().await;
    let worker = workflows::worker();
    let (answers, tasks) = engine.connect_worker(worker.hello()?)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(work(worker, Connection { tasks, answers }, stopped));
    let address = serve(engine.clone()).await?;

    let cases = [Way::Process, Way::Http]
        .into_iter()
        .flat_map(|over| {
            [1, 10]
                .into_iter()
                .map(move |activities| (over, activities))
        })
        .flat_map(|(over, activities)| {
            [1, options.clients].into_iter().map(move |clients| Case {
                over,
                activities,
                clients,
            })
        })
        .filter(|case| {
            options
                .only
                .as_ref()
                .is_none_or(|only| case.name().contains(only.as_str()))
        })
        .collect::<Vec<_>>();
    // Plans, caches and files are warm before anything counts.
    run(
        &engine,
        url,
        address,
        Case {
            over: Way::Http,
            activities: 1,
            clients: options.clients,
        },
        Duration::from_secs(2),
    )
    .await?;
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); cases.len()];
    for _ in 0..options.repeats {
        for (case, figures) in cases.iter().zip(&mut rounds) {
            figures.push(
                run(
                    &engine,
                    url,
                    address,
                    *case,
                    Duration::from_secs(options.seconds),
                )
                .await?,
            );
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    let limits = limit::measure(url, options.clients, options.repeats).await?;
    rows.push(Row {
        name: "C: a fenced commit of one row, 1 in flight".to_owned(),
        steps: None,
        figures: limits.one_row,
    });
    rows.push(Row {
        name: format!(
            "limit: bare replay of the committed arrays, {} in flight",
            options.clients
        ),
        steps: Some(1),
        figures: limits.replay,
    });
    for (case, figures) in cases.iter().zip(rounds) {
        rows.push(Row {
            name: case.name(),
            steps: Some(case.activities),
            figures: load::median(figures),
        });
    }
    let held = match options.open {
        0 => None,
        runs => Some(open::measure(&engine, runs, options.clients).await?),
    };
    // The worker ends with its connection; that it is told first only makes it leave in order.
    let _ = stop.send(());
    working.await??;
    engine.close().await;
    table::print(&rows, held.as_ref())
}

async fn work(
    worker: Worker,
    connection: Connection,
    stopped: tokio::sync::oneshot::Receiver<()>,
) -> Result<()> {
    worker
        .run(connection, async move { drop(stopped.await) })
        .await?;
    Ok(())
}

async fn serve(engine: Engine) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = coreason::router(App::new(engine));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// Runs one case for a while.
async fn run(
    engine: &Engine,
    url: &str,
    address: SocketAddr,
    case: Case,
    time: Duration,
) -> Result<Figures> {
    let before = Counters::read(url).await?;
    let mut figures = match case.over {
        Way::Process => {
            let engine = engine.clone();
            closed_loop(case.clients, time, move |_| {
                let engine = engine.clone();
                async move {
                    let mut engine = engine;
                    loop_in_process(&mut engine, case.activities).await
                }
            })
            .await?
        }
        Way::Http => http::closed_loop(address, case.clients, time, case.activities).await?,
    };
    let after = Counters::read(url).await?;
    figures.count(&before, &after);
    Ok(figures)
}

async fn loop_in_process(engine: &mut Engine, activities: u32) -> Result<()> {
    let (_, closed) = engine
        .execute_workflow(
            &Namespace::known("default"),
            start(activities),
            Duration::from_mins(1),
        )
        .await?;
    let closed = closed.context("a workflow did not end in time")?;
    anyhow::ensure!(
        closed.status == history::Status::Completed,
        "a workflow ended as {:?}",
        closed.status
    );
    Ok(())
}

fn start(activities: u32) -> StartWorkflow {
    let id = Uuid::new_v4().to_string();
    StartWorkflow {
        workflow_id: WorkflowId::known(&id),
        workflow_type: WorkflowType::known("sequence"),
        task_queue: TaskQueue::known(workflows::QUEUE),
        input: Payloads::one(Payload::json_text(activities.to_string())),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        request_id: RequestId::known(id),
        identity: None,
        reuse_policy: history::event::WorkflowIdReusePolicy::default(),
        conflict_policy: history::event::WorkflowIdConflictPolicy::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        start_delay: Millis::ZERO,
        memo: history::event::Memo::new(),
        search_attributes: history::event::SearchAttributes::new(),
        header: history::event::Header::new(),
        parent: None,
        continued: None,
    }
}

/// What Postgres has counted so far.
#[derive(Debug, Clone, Copy)]
struct Counters {
    batches: i64,
    rows: i64,
    wal_bytes: i64,
}

impl Counters {
    async fn read(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let row = client
            .query_one(
                "SELECT (SELECT coalesce(sum(latest), 0)::bigint FROM (SELECT max(batch) AS latest FROM batch_log GROUP BY slot, epoch) AS l),
                        (SELECT count(*) FROM history),
                        (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint",
                &[],
            )
            .await?;
        Ok(Self {
            batches: row.get(0),
            rows: row.get(1),
            wal_bytes: row.get(2),
        })
    }
}
