//! Parked runs whose timers are all due within one second: how they are read, and how long until the last has fired and ended.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use super::{
    step::{start_many, until_at_least},
    table::{Table, mebibytes},
    workflows::{start, worker},
};
use crate::{open::resident, own::Own, workflows::QUEUE};

const PARKED: &str = "SELECT count(*) FROM open_run WHERE parked";
const ENDED: &str = "SELECT count(*) FROM execution WHERE closed_at IS NOT NULL";

/// The second in which all of them are due, since the Unix epoch.
static DUE: OnceLock<usize> = OnceLock::new();

pub(super) async fn measure(url: &str, runs: usize) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |config| {
        config.park_after = Duration::from_secs(1);
    })
    .await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Time enough to start and park them, on a slow machine too.
    let due = usize::try_from(now)? + 60 + runs / 1500;
    let due = *DUE.get_or_init(|| due);
    let started = start_many(&own.engine, 0..runs, |_| {
        start("alarm", DUE.get().copied().unwrap_or_default(), QUEUE)
    })
    .await?;
    let parked = until_at_least(url, PARKED, runs).await?;
    let before = resident()?;
    let left = (UNIX_EPOCH + Duration::from_secs(u64::try_from(due)?))
        .duration_since(SystemTime::now())
        .context("they were due before all were parked: give a smaller size")?;
    tokio::time::sleep(left).await;
    let fired = until_at_least(url, ENDED, runs).await?;
    let mut table = Table::new(&["what", "figure"]);
    let mut row = |what: &str, figure: String| table.row(&[what.to_owned(), figure]);
    row("timers due in one second", runs.to_string());
    row("started in, s", format!("{:.0}", started.as_secs_f64()));
    row("parked after, s", format!("{:.0}", parked.as_secs_f64()));
    row("resident before, MiB", mebibytes(before));
    row(
        "all fired and ended after, s",
        format!("{:.0}", fired.as_secs_f64()),
    );
    row("resident then, MiB", mebibytes(resident()?));
    own.close().await?;
    Ok(table.0)
}
