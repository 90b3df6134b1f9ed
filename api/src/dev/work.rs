//! The workers of the process: connected whenever this process owns shards.

use std::time::Duration;

use engine::{Engine, limits::DRAIN};
use history::Namespace;
use tokio::{
    select,
    task::JoinSet,
    time::{sleep, timeout},
};
use worker::Worker;

use super::Error;
use crate::shutdown::Shutdown;

/// How long to wait after a connection that was refused, as between two owners.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// What the worker gets beyond its own drain before it is dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Says whether the database has the namespaces that the workers serve: one of another would wait for work for ever.
pub(super) fn served(engine: &Engine, workers: &[Worker]) -> Result<(), Error> {
    let is_unknown = |name: &&str| {
        let name = Namespace::new(*name);
        name.is_ok_and(|name| !engine.has_namespace(&name))
    };
    let mut names = workers.iter().map(Worker::served_namespace);
    match names.find(is_unknown) {
        Some(unknown) => Err(Error::Namespace(unknown.to_owned())),
        None => Ok(()),
    }
}

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

/// Returns how long the workers may take to finish what they have: [`DRAIN`], or more if one of them says so.
pub(super) fn drain(workers: &[Worker]) -> Duration {
    let drains = workers.iter().map(Worker::drains_within);
    drains.fold(DRAIN, Duration::max)
}

/// Waits so long for the workers to finish what they have.
pub(super) async fn drained(mut working: JoinSet<()>, drain: Duration) {
    let all = async { while working.join_next().await.is_some() {} };
    if timeout(drain.saturating_add(GRACE), all).await.is_err() {
        tracing::warn!(
            "a worker did not finish in time; what it had is done again after the next start"
        );
        working.abort_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_gets_the_time_that_it_says_it_takes() {
        let usual = Worker::new("usual");
        let slow = Worker::new("slow").drain_timeout(Duration::from_mins(1));
        assert_eq!(drain(std::slice::from_ref(&usual)), DRAIN);
        assert_eq!(drain(&[usual, slow]), Duration::from_mins(1));
    }
}
