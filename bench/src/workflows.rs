//! What is run: a number of activities in a row, each of which adds one.

use coreason::prelude::*;

/// The bench's task queue.
pub(crate) const QUEUE: &str = "bench";

#[activity]
async fn add_one(n: u32) -> Result<u32> {
    Ok(n + 1)
}

#[workflow]
async fn sequence(wf: Workflow, activities: u32) -> Result<u32> {
    let mut n = 0;
    while n < activities {
        n = wf.call(add_one, n).await?;
    }
    Ok(n)
}

/// Waits for a signal that never comes.
#[workflow]
async fn wait(wf: Workflow, _input: u32) -> Result<()> {
    wf.signals_named::<()>("go").recv().await?;
    Ok(())
}

/// Returns the worker.
pub(crate) fn worker() -> Worker {
    worker_on(QUEUE)
}

/// Returns the worker of a queue.
pub(crate) fn worker_on(queue: &str) -> Worker {
    Worker::new(queue)
        .workflow(sequence)
        .workflow(wait)
        .activity(add_one)
        .workflow_slots(1000)
        .activity_slots(1000)
}
