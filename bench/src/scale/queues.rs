//! Task queues, a worker each.

use anyhow::Result;

use super::{step::Step, table::Table, workflows::worker};
use crate::own::{Own, Working};

pub(super) async fn measure(url: &str, most: usize, seconds: u64) -> Result<String> {
    let own = Own::open_with(url, worker("queue-0"), |_| {}).await?;
    let mut table = Table::new(&[&["task queues"], &Step::COLUMNS[..]].concat());
    let mut queues = vec!["queue-0".to_owned()];
    let mut working = Vec::new();
    for size in [1, 10, most] {
        for n in queues.len()..size {
            let queue = format!("queue-{n}");
            working.push(Working::begin(&own.engine, worker(&queue)));
            queues.push(queue);
        }
        let step = Step::measure(&own.engine, &queues, seconds).await?;
        table.row(&[vec![size.to_string()], step.cells().to_vec()].concat());
    }
    for worker in working {
        worker.end().await?;
    }
    own.close().await?;
    Ok(table.0)
}
