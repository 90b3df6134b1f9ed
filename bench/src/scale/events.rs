//! The events of one run: what a step costs at the beginning and at the end, and what a cold fold costs then.

use std::time::Duration;

use anyhow::{Context as _, Result};
use engine::Address;
use history::{Namespace, Payloads, decide::Signal};
use tokio::time::Instant;

use super::{
    step::until_at_least,
    table::Table,
    workflows::{STEPS, noted, start, worker},
};
use crate::{own::Own, workflows::QUEUE};

/// The events of a step: of the activity three, of the workflow task three.
const EVENTS: usize = 6;
const PARKED: &str = "SELECT count(*) FROM open_run WHERE parked";

pub(super) async fn measure(url: &str, events: usize) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |config| {
        config.park_after = Duration::from_secs(1);
    })
    .await?;
    let steps = events / EVENTS;
    let namespace = Namespace::known("default");
    let request = start("long", steps, QUEUE);
    let address = Address {
        namespace: namespace.clone(),
        workflow_id: request.workflow_id.clone(),
        run_id: None,
    };
    own.engine.start_workflow(&namespace, request).await?;
    until_at_least(url, PARKED, 1).await?;
    let mut table = Table::new(&["events", "ms a step"]);
    let times = noted(&STEPS);
    let bucket = (steps / 10).max(1);
    for (n, bucket) in times.windows(bucket + 1).step_by(bucket).enumerate() {
        let time = bucket[bucket.len() - 1] - bucket[0];
        let steps = u32::try_from(bucket.len() - 1)?;
        table.row(&[
            ((n + 1) * EVENTS * (bucket.len() - 1)).to_string(),
            format!("{:.2}", time.as_secs_f64() * 1000.0 / f64::from(steps)),
        ]);
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let described = own.engine.describe(&address).await?;
        let cold = begun.elapsed();
        table.row(&[
            format!("cold read and fold of {}", described.history_length),
            format!("{:.1}", cold.as_secs_f64() * 1000.0),
        ]);
        // It is parked again a second later, and nothing outside shows when.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let begun = Instant::now();
    let signal = Signal {
        signal_name: history::SignalName::known("go"),
        input: Payloads::one(history::Payload::json_text("null".to_owned())),
        identity: None,
        header: history::event::Header::new(),
        request_id: None,
        external: None,
    };
    own.engine.signal(&address, signal).await?;
    let closed = own.engine.result(&address, Duration::from_mins(1)).await?;
    closed.closed().context("it did not end")?;
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    table.row(&["a signal: cold fold, replay, end", &format!("{time:.1}")]);
    own.close().await?;
    Ok(table.0)
}
