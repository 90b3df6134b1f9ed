//! Closed loops: so many clients, each of which sends its next request when it has the answer to the last.

use std::{future::Future, time::Duration};

use anyhow::Result;
use tokio::time::Instant;

use crate::Counters;

/// What a measurement says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// How many workflows ended.
    pub(crate) workflows: usize,
    /// How long it took.
    pub(crate) time: Duration,
    /// How long each took, in order.
    pub(crate) latencies: Vec<Duration>,
    /// How many batches Postgres committed.
    pub(crate) batches: Option<i64>,
    /// How many rows of history those had.
    pub(crate) rows: Option<i64>,
    /// How many bytes of WAL it wrote.
    pub(crate) wal_bytes: Option<i64>,
}

impl Figures {
    /// Returns the workflows a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let workflows = self.workflows as f64;
        workflows / self.time.as_secs_f64()
    }

    /// Returns the latency that the given share of the workflows stayed under.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length"
        )]
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies
            .get(at.min(self.latencies.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// Adds what Postgres counted meanwhile.
    pub(crate) fn count(&mut self, before: &Counters, after: &Counters) {
        self.batches = Some(after.batches - before.batches);
        self.rows = Some(after.rows - before.rows);
        self.wal_bytes = Some(after.wal_bytes - before.wal_bytes);
    }

    /// Sums up what each client has measured.
    pub(crate) fn of(time: Duration, clients: Vec<Vec<Duration>>) -> Self {
        let mut latencies: Vec<Duration> = clients.into_iter().flatten().collect();
        latencies.sort_unstable();
        Self {
            workflows: latencies.len(),
            time,
            latencies,
            batches: None,
            rows: None,
            wal_bytes: None,
        }
    }
}

/// Returns the measurement with the median throughput.
pub(crate) fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle).unwrap_or_default()
}

/// Runs clients in a closed loop for a while.
pub(crate) async fn closed_loop<F, R>(clients: usize, time: Duration, request: F) -> Result<Figures>
where
    F: Fn(usize) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let begun = Instant::now();
    let until = begun + time;
    let running: Vec<_> = (0..clients)
        .map(|client| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(4096);
                while Instant::now() < until {
                    let sent = Instant::now();
                    request(client).await?;
                    latencies.push(sent.elapsed());
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(clients);
    for client in running {
        all.push(client.await??);
    }
    Ok(Figures::of(begun.elapsed(), all))
}
