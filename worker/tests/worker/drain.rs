//! A worker that leaves.

use std::sync::Arc;

use history::task::{ActivityTask, ActivityTaskAnswer, FromWorker};
use tokio::sync::{Notify, oneshot};
use worker::prelude::*;

use crate::support::{Hosted, value};

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

#[activity]
async fn saves(gate: &Arc<Gate>, ctx: &ActivityContext) -> Result<String> {
    gate.started.notify_one();
    Ok(format!("saved at {:?}", ctx.cancelled().await))
}

#[activity]
async fn stops(gate: &Arc<Gate>, ctx: &ActivityContext) -> Result<()> {
    gate.started.notify_one();
    ctx.cancelled().await;
    Ok(ctx.check()?)
}

struct Leaving {
    hosted: Hosted,
    gate: Arc<Gate>,
    leave: oneshot::Sender<()>,
}

async fn busy_worker() -> Leaving {
    busy_with("passes", |_| {}).await
}

async fn busy_with(activity: &str, with: impl FnOnce(&mut ActivityTask)) -> Leaving {
    let gate = Arc::new(Gate::default());
    let (leave, told) = oneshot::channel::<()>();
    let worker = Worker::new("q")
        .activity(passes)
        .activity(saves)
        .activity(stops)
        .with(gate.clone());
    let hosted = Hosted::until(worker, async move { told.await.unwrap() });
    hosted.attempt_with(activity, &[], with);
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
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { .. },
            ..
        }
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
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Failed { failure },
            ..
        } => {
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

/// Lets the worker leave; returns its answer for the attempt.
async fn answer_at_shutdown(busy: Leaving) -> FromWorker {
    let Leaving {
        mut hosted,
        gate: _gate,
        leave,
    } = busy;
    leave.send(()).unwrap();
    assert!(matches!(hosted.answer().await, FromWorker::Draining));
    let answer = hosted.answer().await;
    hosted.running.await.unwrap();
    answer
}

#[tokio::test]
async fn an_activity_hears_of_a_shutdown_when_it_begins() {
    match answer_at_shutdown(busy_with("saves", |_| {}).await).await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { result },
            ..
        } => {
            assert_eq!(value(&result), "saved at WorkerShutdown");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_activity_that_stops_at_a_shutdown_fails_and_is_done_again_elsewhere() {
    let busy = busy_with("stops", |task| task.retry_policy.maximum_attempts = 2).await;
    match answer_at_shutdown(busy).await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Failed { failure },
            ..
        } => {
            assert_eq!(Error::from_failure(*failure).kind(), Some("WorkerShutdown"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_of_a_policy_is_told_only_after_the_drain_timeout() {
    let busy = busy_with("saves", |task| task.retry_policy.maximum_attempts = 1).await;
    match answer_at_shutdown(busy).await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Failed { failure },
            ..
        } => {
            assert_eq!(failure.message, "the worker left before the activity ended");
        }
        other => panic!("{other:?}"),
    }
}
