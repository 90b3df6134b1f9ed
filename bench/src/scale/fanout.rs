//! Activities and children at once, of one workflow.

use std::time::Duration;

use anyhow::{Context as _, Result};
use history::Namespace;
use tokio::time::Instant;

use super::{
    table::Table,
    workflows::{start, worker},
};
use crate::{cpu, own::Own, workflows::QUEUE};

pub(super) async fn measure(url: &str, most: usize) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE).activity_slots(5000), |_| {}).await?;
    let mut table = Table::new(&["what", "at once", "s", "µs each", "CPU µs each"]);
    for (workflow, what) in [("fan", "activities"), ("brood", "children")] {
        for width in [10, 100, 1000, 2000] {
            if width > most {
                break;
            }
            let (begun, cpu) = (Instant::now(), cpu::of_process(std::process::id())?);
            let (_, closed) = own
                .engine
                .execute_workflow(
                    &Namespace::known("default"),
                    start(workflow, width, QUEUE),
                    Duration::from_mins(2),
                )
                .await?;
            let closed = closed.closed().context("it did not end in two minutes")?;
            anyhow::ensure!(
                closed.status == history::Status::Completed,
                "it ended as {:?}",
                closed.status
            );
            let each = |time: Duration| {
                let width = u32::try_from(width).unwrap_or(u32::MAX);
                format!("{:.0}", time.as_secs_f64() * 1e6 / f64::from(width))
            };
            let cpu = cpu::of_process(std::process::id())?.saturating_sub(cpu);
            let time = begun.elapsed();
            table.row(&[
                what.to_owned(),
                width.to_string(),
                format!("{:.3}", time.as_secs_f64()),
                each(time),
                each(cpu),
            ]);
        }
    }
    own.close().await?;
    Ok(table.0)
}
