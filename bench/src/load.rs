//! Closed loops: so many clients, each of which asks for its next workflow when it has the result of the last.
//!
//! The program of DBOS for Rust (`bench/peers/dbos-rust`) includes this file, so that it is loaded by the same code as ours.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use tokio::time::Instant;

/// What a closed loop did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// How many workflows ended.
    pub(crate) workflows: u64,
    pub(crate) seconds: f64,
    /// How long the median took, start to result.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Figures {
    /// Sums up what each client has measured.
    pub(crate) fn of(time: Duration, clients: Vec<Vec<Duration>>) -> Self {
        let mut latencies: Vec<Duration> = clients.into_iter().flatten().collect();
        latencies.sort_unstable();
        let quantile = |percent: usize| {
            latencies
                .get((latencies.len() * percent / 100).min(latencies.len().saturating_sub(1)))
                .map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self {
            workflows: latencies.len() as u64,
            seconds: time.as_secs_f64(),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
        }
    }
}

/// Somebody who runs one workflow after the other.
pub(crate) trait Client: Send + 'static {
    /// Starts a workflow of so many activities and waits for its result.
    fn execute(&mut self, activities: u32) -> impl Future<Output = Result<()>> + Send;
}

/// Runs clients in a closed loop for a while.
pub(crate) async fn closed_loop<C: Client>(
    clients: Vec<C>,
    activities: u32,
    time: Duration,
) -> Result<Figures> {
    let begun = Instant::now();
    let until = begun + time;
    let running: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(4096);
                while Instant::now() < until {
                    let sent = Instant::now();
                    client.execute(activities).await?;
                    latencies.push(sent.elapsed());
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(running.len());
    for client in running {
        all.push(client.await??);
    }
    Ok(Figures::of(begun.elapsed(), all))
}

/// Runs the loads that are asked for on stdin, `ACTIVITIES CLIENTS SECONDS` a line, and answers each with a line of JSON;
/// ends with stdin. Reading blocks the thread of `main`, on which nothing else runs.
pub(crate) async fn on_stdin<C: Client + Clone>(client: C) -> Result<()> {
    writeln!(std::io::stdout(), "ready")?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let mut word = || words.next().context("ACTIVITIES CLIENTS SECONDS");
        let (activities, clients, seconds) = (word()?.parse()?, word()?.parse()?, word()?.parse()?);
        let figures = closed_loop(
            vec![client.clone(); clients],
            activities,
            Duration::from_secs(seconds),
        )
        .await?;
        let Figures {
            workflows,
            seconds,
            p50_ms,
            p99_ms,
        } = figures;
        writeln!(
            std::io::stdout(),
            r#"{{"workflows":{workflows},"seconds":{seconds},"p50_ms":{p50_ms},"p99_ms":{p99_ms}}}"#
        )?;
    }
    Ok(())
}
