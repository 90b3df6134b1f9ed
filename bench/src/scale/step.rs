//! What a workflow of one activity costs just now.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use engine::Engine;
use history::Namespace;
use tokio::time::Instant;

use super::workflows::start;
use crate::{
    cpu,
    load::{self, Figures},
};

/// What was measured.
pub(super) struct Step {
    figures: Figures,
    /// Processor time of this process: engine, workers, clients.
    cpu: Duration,
}

#[derive(Clone)]
struct Client {
    engine: Engine,
    queues: Arc<[String]>,
    next: usize,
}

impl load::Client for Client {
    async fn execute(&mut self, activities: u32) -> Result<()> {
        self.next = (self.next + 1) % self.queues.len();
        let request = start("sequence", activities as usize, &self.queues[self.next]);
        let (_, closed) = self
            .engine
            .execute_workflow(
                &Namespace::known("default"),
                request,
                Duration::from_mins(1),
            )
            .await?;
        closed.closed().context("a workflow did not end in time")?;
        Ok(())
    }
}

impl Step {
    pub(super) const COLUMNS: [&'static str; 4] =
        ["workflows/s", "CPU µs a workflow", "p50 ms", "p99 ms"];

    /// Runs workflows of one activity from 64 clients for a while, each on the next of the queues.
    pub(super) async fn measure(engine: &Engine, queues: &[String], seconds: u64) -> Result<Self> {
        let queues: Arc<[String]> = queues.into();
        let clients = (0..64).map(|n| Client {
            engine: engine.clone(),
            queues: queues.clone(),
            next: n % queues.len(),
        });
        let clients: Vec<_> = clients.collect();
        let warming = load::closed_loop(clients.clone(), 1, Duration::from_secs(1));
        warming.await?;
        let before = cpu::of_process(std::process::id())?;
        let figures = load::closed_loop(clients, 1, Duration::from_secs(seconds)).await?;
        Ok(Self {
            figures,
            cpu: cpu::of_process(std::process::id())?.saturating_sub(before),
        })
    }

    /// Returns the cells of [`Self::COLUMNS`].
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(super) fn cells(&self) -> [String; 4] {
        let workflows = self.figures.workflows.max(1) as f64;
        [
            format!("{:.0}", workflows / self.figures.seconds),
            format!("{:.0}", self.cpu.as_secs_f64() * 1e6 / workflows),
            format!("{:.2}", self.figures.p50_ms),
            format!("{:.2}", self.figures.p99_ms),
        ]
    }
}

/// Starts so many workflows from many clients; the request of each by its number.
pub(super) async fn start_many(
    engine: &Engine,
    numbers: std::ops::Range<usize>,
    request: fn(usize) -> history::decide::StartWorkflow,
) -> Result<Duration> {
    const CLIENTS: usize = 128;
    let begun = Instant::now();
    let starting: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (engine, numbers) = (engine.clone(), numbers.clone());
            tokio::spawn(async move {
                for n in numbers.skip(client).step_by(CLIENTS) {
                    start_one(&engine, || request(n)).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in starting {
        client.await??;
    }
    Ok(begun.elapsed())
}

/// Starts a workflow; one that is refused while memory is full is sent again, as it is to be.
async fn start_one(
    engine: &Engine,
    request: impl Fn() -> history::decide::StartWorkflow,
) -> Result<()> {
    const AGAIN_AFTER: Duration = Duration::from_millis(20);
    let namespace = Namespace::known("default");
    loop {
        match engine.start_workflow(&namespace, request()).await {
            Err(error) if error.code() == "UNAVAILABLE" => tokio::time::sleep(AGAIN_AFTER).await,
            answer => {
                answer?;
                return Ok(());
            }
        }
    }
}

/// Waits until a query of one number gives at least this one.
pub(super) async fn until_at_least(url: &str, query: &str, least: usize) -> Result<Duration> {
    let begun = Instant::now();
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    loop {
        let count: i64 = client.query_one(query, &[]).await?.get(0);
        if usize::try_from(count)? >= least {
            return Ok(begun.elapsed());
        }
        anyhow::ensure!(
            begun.elapsed() < Duration::from_mins(20),
            "{query} is still at {count} of {least}"
        );
        // Counting costs Postgres what is being measured.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
