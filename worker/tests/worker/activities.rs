//! Activities on the worker: what they are given, how they end.

use std::sync::Arc;

use history::{
    Millis,
    task::{ActivityTaskAnswer, FromWorker, ToWorker},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use worker::prelude::*;

use crate::support::{Hosted, payloads, value};

#[derive(Default)]
struct App {
    prefix: String,
    started: Notify,
}

#[activity]
async fn join_words(app: &Arc<App>, a: String, ctx: &ActivityContext, b: String) -> Result<String> {
    Ok(format!("{}{a}{b} #{}", app.prefix, ctx.attempt()))
}

#[activity]
fn thread_name() -> Result<bool> {
    Ok(tokio::runtime::Handle::try_current().is_ok())
}

#[activity(blocking)]
async fn async_but_blocking() -> Result<u32> {
    tokio::task::yield_now().await;
    Ok(1)
}

#[activity]
async fn waits_for_ever(app: &Arc<App>) -> Result<()> {
    app.started.notify_one();
    std::future::pending().await
}

#[activity]
async fn watches(app: &Arc<App>, ctx: &ActivityContext) -> Result<()> {
    app.started.notify_one();
    ctx.cancelled().await;
    Ok(ctx.check()?)
}

#[activity]
async fn ignores_cancellation(app: &Arc<App>, ctx: &ActivityContext) -> Result<String> {
    app.started.notify_one();
    ctx.cancelled().await;
    Ok("done all the same".to_owned())
}

#[activity(heartbeat = "10s")]
async fn beats(ctx: &ActivityContext) -> Result<Option<u32>> {
    for n in 1..=3 {
        ctx.heartbeat(&n);
    }
    if ctx.attempt() == 1 {
        return Err(Error::new("once"));
    }
    Ok(ctx.heartbeat_details())
}

#[activity]
async fn beats_twice_and_waits(app: &Arc<App>, ctx: &ActivityContext) -> Result<()> {
    ctx.heartbeat(&1);
    ctx.heartbeat(&2);
    app.started.notify_one();
    std::future::pending().await
}

#[activity]
async fn nothing() -> Result<()> {
    Ok(())
}

fn hosted() -> (Hosted, Arc<App>) {
    let app = Arc::new(App {
        prefix: "> ".to_owned(),
        ..App::default()
    });
    let worker = Worker::new("q")
        .activity(join_words)
        .activity(thread_name)
        .activity(async_but_blocking)
        .activity(waits_for_ever)
        .activity(watches)
        .activity(ignores_cancellation)
        .activity(beats)
        .activity(beats_twice_and_waits)
        .activity(nothing)
        .with(app.clone());
    (Hosted::new(worker), app)
}

async fn result(activity: &str, arguments: &[Value]) -> Value {
    let (mut hosted, _) = hosted();
    hosted.attempt(activity, arguments);
    match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { result },
            ..
        } => value(&result),
        other => panic!("{other:?}"),
    }
}

/// Cancels an attempt when it has started; returns its answer.
async fn canceled(activity: &str) -> FromWorker {
    let (mut hosted, app) = hosted();
    let token = hosted.attempt(activity, &[]);
    app.started.notified().await;
    hosted.to.send(ToWorker::CancelActivity(token)).unwrap();
    hosted.answer().await
}

#[tokio::test]
async fn values_are_inputs_and_references_are_injected() {
    assert_eq!(
        result("join_words", &[json!("a"), json!("b")]).await,
        json!("> ab #1")
    );
}

#[tokio::test]
async fn blocking_code_runs_beside_the_async_threads() {
    assert_eq!(result("thread_name", &[]).await, json!(true));
    assert_eq!(result("async_but_blocking", &[]).await, json!(1));
}

#[tokio::test]
async fn nothing_is_returned_as_no_value() {
    assert_eq!(result("nothing", &[]).await, Value::Null);
}

#[tokio::test]
async fn code_that_can_not_see_its_cancellation_is_dropped() {
    let answer = canceled("waits_for_ever").await;
    assert!(
        matches!(
            answer,
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Canceled { .. },
                ..
            }
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn code_that_watches_ends_as_canceled_when_it_says_so() {
    let answer = canceled("watches").await;
    assert!(
        matches!(
            answer,
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Canceled { .. },
                ..
            }
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn code_that_finishes_all_the_same_is_completed() {
    match canceled("ignores_cancellation").await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { result },
            ..
        } => {
            assert_eq!(value(&result), json!("done all the same"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_last_heartbeat_goes_out_before_a_failure_and_reaches_the_next_attempt() {
    let (mut hosted, _) = hosted();
    hosted.attempt_with("beats", &[], |task| {
        task.heartbeat_timeout = Millis::seconds(10);
    });
    for expected in [1, 3] {
        match hosted.answer().await {
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Heartbeat { details },
                ..
            } => {
                assert_eq!(value(&details), json!(expected));
            }
            other => panic!("{other:?}"),
        }
    }
    let answer = hosted.answer().await;
    assert!(
        matches!(
            answer,
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Failed { .. },
                ..
            }
        ),
        "{answer:?}"
    );

    hosted.attempt_with("beats", &[], |task| {
        task.token.attempt = 2;
        task.heartbeat_details = payloads(&[json!(3)]);
    });
    let _first_heartbeat = hosted.answer().await;
    match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { result },
            ..
        } => assert_eq!(value(&result), json!(3)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_activity_that_the_worker_does_not_have_fails_its_attempt_and_says_what_there_is() {
    let worker = Worker::new("q").activity(nothing).activity(thread_name);
    let mut hosted = Hosted::new(worker);
    hosted.attempt("charge", &[]);
    match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Failed { failure },
            ..
        } => {
            let error = Error::from_failure(*failure);
            assert_eq!(error.kind(), Some("ActivityNotRegistered"));
            assert_eq!(
                error.to_string(),
                "this worker has no activity `charge`; it has nothing, thread_name"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_held_back_goes_out_when_it_is_wanted() {
    let (mut hosted, app) = hosted();
    let token = hosted.attempt("beats_twice_and_waits", &[]);
    app.started.notified().await;
    let beat = async |hosted: &mut Hosted| match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Heartbeat { details },
            ..
        } => value(&details),
        other => panic!("{other:?}"),
    };
    assert_eq!(beat(&mut hosted).await, json!(1));
    hosted.to.send(ToWorker::HeartbeatWanted(token)).unwrap();
    assert_eq!(beat(&mut hosted).await, json!(2));
}
