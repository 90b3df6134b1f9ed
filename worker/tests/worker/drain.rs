//! A worker that leaves.

use std::sync::Arc;

use history::task::FromWorker;
use tokio::sync::{Notify, oneshot};
use worker::prelude::*;

use crate::support::Hosted;

#[derive(Default)]
struct Gate {
    started: Notify,
    open: Notify,
}

#[activity]
async fn passes(gate: &Arc<Gate>) -> Result<u32> {
    gate.started.notify_one();
    gate.open.notified().await;
    Ok(1)
}

struct Leaving {
    hosted: Hosted,
    gate: Arc<Gate>,
    leave: oneshot::Sender<()>,
}

async fn busy_worker() -> Leaving {
    let gate = Arc::new(Gate::default());
    let (leave, told) = oneshot::channel::<()>();
    let worker = Worker::new("q").activity(passes).with(gate.clone());
    let hosted = Hosted::until(worker, async move { told.await.unwrap() });
    hosted.attempt("passes", &[]);
    gate.started.notified().await;
    Leaving {
        hosted,
        gate,
        leave,
    }
}

#[tokio::test]
async fn a_worker_that_leaves_finishes_what_it_has() {
    let Leaving {
        mut hosted,
        gate,
        leave,
    } = busy_worker().await;
    leave.send(()).unwrap();
    assert!(matches!(hosted.answer().await, FromWorker::Draining));
    gate.open.notify_one();
    assert!(matches!(
        hosted.answer().await,
        FromWorker::ActivityTaskCompleted { .. }
    ));
    hosted.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_the_drain_timeout_what_is_left_is_given_up_for_another_worker() {
    let Leaving {
        mut hosted,
        gate: _gate,
        leave,
    } = busy_worker().await;
    leave.send(()).unwrap();
    assert!(matches!(hosted.answer().await, FromWorker::Draining));
    match hosted.answer().await {
        FromWorker::ActivityTaskFailed { failure, .. } => {
            assert_eq!(failure.message, "the worker left before the activity ended");
        }
        other => panic!("{other:?}"),
    }
    hosted.running.await.unwrap();
}

#[tokio::test]
async fn a_worker_ends_when_its_engine_is_gone() {
    let Leaving {
        hosted,
        gate: _gate,
        leave: _leave,
    } = busy_worker().await;
    drop(hosted.to);
    hosted.running.await.unwrap();
}
