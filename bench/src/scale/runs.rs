//! Open runs, all of them in memory.

use std::time::Duration;

use anyhow::Result;

use super::{
    step::{Step, start_many, until_at_least},
    table::{Table, mebibytes},
    workflows::{start, worker},
};
use crate::{open::resident, own::Own, workflows::QUEUE};

pub(super) async fn measure(url: &str, most: usize, seconds: u64) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |config| {
        config.memory_bytes = usize::MAX;
        config.park_after = Duration::from_hours(1);
    })
    .await?;
    let mut table = Table::new(&[&["open runs", "resident MiB"], &Step::COLUMNS[..]].concat());
    let sizes = [1, 1000, 10_000, 100_000, 300_000, 1_000_000];
    let mut open = 0;
    for size in sizes.into_iter().filter(|size| *size <= most) {
        start_many(&own.engine, open..size, |_| start("wait", 0, QUEUE)).await?;
        open = size;
        until_at_least(url, "SELECT count(*) FROM history WHERE seq = 0", open).await?;
        let step = Step::measure(&own.engine, &[QUEUE.to_owned()], seconds).await?;
        let cells = [
            vec![open.to_string(), mebibytes(resident()?)],
            step.cells().to_vec(),
        ];
        table.row(&cells.concat());
    }
    own.close().await?;
    Ok(table.0)
}
