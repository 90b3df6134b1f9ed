//! Tasks that wait on a queue without a worker, beside a queue that has one; then their worker comes.

use anyhow::Result;

use super::{
    step::{Step, start_many, until_at_least},
    table::{Table, mebibytes},
    workflows::{start, worker},
};
use crate::{
    open::resident,
    own::{Own, Working},
    workflows::QUEUE,
};

const NOBODY: &str = "nobody";
const KNOWN: &str = "SELECT count(*) FROM open_run";
const ENDED: &str =
    "SELECT count(*) FROM execution WHERE task_queue = 'nobody' AND closed_at IS NOT NULL";

pub(super) async fn measure(url: &str, most: usize, seconds: u64) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |_| {}).await?;
    let mut table =
        Table::new(&[&["tasks that wait", "resident MiB"], &Step::COLUMNS[..]].concat());
    let queues = [QUEUE.to_owned()];
    let mut waiting = 0;
    for size in [0, 10_000, 100_000, 300_000, 1_000_000] {
        if size > most {
            break;
        }
        start_many(&own.engine, waiting..size, |_| start("nothing", 0, NOBODY)).await?;
        waiting = size;
        for name in [format!("{size}, just started"), format!("{size}")] {
            let step = Step::measure(&own.engine, &queues, seconds).await?;
            let cells = [vec![name, mebibytes(resident()?)], step.cells().to_vec()];
            table.row(&cells.concat());
            // Each has got its row by then, and those for which there is no room have left memory.
            until_at_least(url, KNOWN, waiting).await?;
        }
    }
    let worker = Working::begin(&own.engine, worker(NOBODY));
    let drained = until_at_least(url, ENDED, waiting).await?;
    table.row(&[
        format!("drained in {:.1} s", drained.as_secs_f64()),
        mebibytes(resident()?),
    ]);
    worker.end().await?;
    // As much in the tables, and nobody waits.
    let step = Step::measure(&own.engine, &queues, seconds).await?;
    table.row(
        &[
            vec!["0".to_owned(), mebibytes(resident()?)],
            step.cells().to_vec(),
        ]
        .concat(),
    );
    own.close().await?;
    Ok(table.0)
}
