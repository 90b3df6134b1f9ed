//! The workers of the process: connected whenever this process owns shards.

use std::time::Duration;

use engine::{Engine, limits::DRAIN};
use tokio::{
    select,
    task::JoinSet,
    time::{sleep, timeout},
};
use worker::Worker;

use super::{Error, Shutdown};

/// How long to wait after a connection that was refused, as between two owners.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// What the worker gets beyond its own drain before it is dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the workers until the shutdown.
pub(super) fn start(engine: &Engine, workers: Vec<Worker>, shutdown: &Shutdown) -> JoinSet<()> {
    let mut working = JoinSet::new();
    for worker in workers {
        let (engine, shutdown) = (engine.clone(), shutdown.clone());
        working.spawn(async move { connected(&engine, &worker, &shutdown).await });
    }
    working
}

/// Connects, and again after each loss of ownership, until the shutdown has drained it.
async fn connected(engine: &Engine, worker: &Worker, shutdown: &Shutdown) {
    let mut asked = shutdown.clone();
    loop {
        select! {
            () = engine.owning() => {}
            () = asked.asked() => return,
        }
        if let Err(error) = connect(engine, worker, shutdown).await {
            tracing::warn!(%error, code = error.code(), "the worker can't work");
        }
        if asked.is_asked() {
            return;
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Connects and runs until the engine is gone or the shutdown has drained the worker. What it had cached goes with it.
async fn connect(engine: &Engine, worker: &Worker, shutdown: &Shutdown) -> Result<(), Error> {
    let mut asked = shutdown.clone();
    worker
        .clone()
        .run(
            |hello, tasks| Ok(engine.connect_worker(hello, tasks)?),
            async move { asked.asked().await },
        )
        .await
}

/// Waits for the workers to finish what they have, as long as [`DRAIN`] allows.
pub(super) async fn drained(mut working: JoinSet<()>) {
    let all = async { while working.join_next().await.is_some() {} };
    if timeout(DRAIN + GRACE, all).await.is_err() {
        tracing::warn!(
            "a worker did not finish in time; what it had is done again after the next start"
        );
        working.abort_all();
    }
}
