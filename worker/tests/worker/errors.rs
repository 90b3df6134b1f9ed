//! Errors from the activity to the workflow and on to its caller.

use history::task::{ActivityTaskAnswer, FromWorker};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use worker::prelude::*;

use crate::support::{Hosted, Script};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum PayError {
    #[error("card declined: {reason}")]
    Declined { reason: String },
    #[error("the bank is closed")]
    Closed,
}

impl UserError for PayError {
    fn retryable(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum CheckoutError {
    #[error("could not take the money")]
    Pay(#[from] ActivityError<PayError>),
}

impl UserError for CheckoutError {}

#[activity]
async fn charge(cents: u32) -> Result<u32, PayError> {
    match cents {
        0 => Err(PayError::Closed),
        1 => Err(PayError::Declined {
            reason: "too little".to_owned(),
        }),
        _ => Ok(cents),
    }
}

#[activity]
async fn read_file(path: String) -> Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

#[activity]
async fn panics(n: u32) -> Result<u32> {
    assert_ne!(n, 7, "seven is unlucky");
    Ok(n)
}

#[workflow]
async fn checkout(wf: Workflow, cents: u32) -> Result<String, CheckoutError> {
    match wf.call(charge, cents).await {
        Err(ActivityError::Failed(PayError::Declined { reason }, ..)) => {
            Ok(format!("declined: {reason}"))
        }
        Err(ActivityError::TimedOut(timeout, ..)) => Ok(format!("{timeout:?}")),
        other => Ok(format!("paid {}", other?)),
    }
}

#[workflow]
async fn shop(wf: Workflow, cents: u32) -> Result<u32> {
    Ok(wf.call(charge, cents).await?)
}

fn worker() -> Worker {
    Worker::new("q")
        .workflow(checkout)
        .workflow(shop)
        .activity(charge)
        .activity(read_file)
        .activity(panics)
}

/// Runs an activity for real and returns how it failed.
async fn failure(activity: &str, argument: Value) -> history::Failure {
    let mut hosted = Hosted::new(worker());
    hosted.attempt(activity, &[argument]);
    match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Failed { failure },
            ..
        } => *failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_users_error_is_recorded_with_its_type_and_value() {
    assert_eq!(
        serde_json::to_value(failure("charge", json!(1)).await).unwrap(),
        json!({
            "message": "card declined: too little",
            "source": "RustSDK",
            "info": { "Application": {
                "type": "PayError",
                "non_retryable": true,
                "details": [{ "$p": { "Declined": { "reason": "too little" } } }],
            } },
        })
    );
    let closed = Error::from_failure(failure("charge", json!(0)).await);
    assert_eq!(closed.details::<PayError>(), Some(PayError::Closed));
}

#[tokio::test]
async fn a_workflow_matches_on_the_error_of_its_activity() {
    let mut run = Script::start(worker(), "checkout", &[json!(1)]);
    run.turn().await;
    run.activity_failed("1", &failure("charge", json!(1)).await);
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"declined: too little\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_timeout_is_told_from_an_error() {
    let mut run = Script::start(worker(), "checkout", &[json!(5)]);
    run.turn().await;
    run.activity_timed_out("1");
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"StartToClose\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn an_error_of_the_users_keeps_the_chain_of_its_causes() {
    let mut run = Script::start(worker(), "checkout", &[json!(0)]);
    run.turn().await;
    run.activity_failed("1", &failure("charge", json!(0)).await);
    assert_eq!(
        run.turn().await,
        [
            "FailWorkflowExecution could not take the money: activity `charge` failed: the bank is closed"
        ]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_question_mark_takes_the_recorded_failure_as_it_is() {
    let mut run = Script::start(worker(), "shop", &[json!(0)]);
    run.turn().await;
    run.activity_failed("1", &failure("charge", json!(0)).await);
    assert_eq!(
        run.turn().await,
        ["FailWorkflowExecution activity `charge` failed: the bank is closed"]
    );
    run.replays().await;
}

#[tokio::test]
async fn any_error_of_the_standard_library_becomes_a_failure() {
    let failure = failure("read_file", json!("/nowhere/at/all")).await;
    let error = Error::from_failure(failure);
    assert_eq!(error.kind(), Some("std::io::error::Error"));
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_panic_becomes_a_failure_with_its_message_and_place() {
    let failure = failure("panics", json!(7)).await;
    let error = Error::from_failure(failure);
    assert_eq!(error.kind(), Some("Panic"));
    let text = error.to_string();
    assert!(
        text.contains("seven is unlucky") && text.contains("errors.rs:"),
        "{text}"
    );
}

#[tokio::test]
async fn an_argument_of_another_shape_is_a_failure() {
    let error = Error::from_failure(failure("charge", json!("much")).await);
    assert_eq!(error.kind(), Some("PayloadMismatch"));
}

#[tokio::test]
async fn an_activity_that_this_worker_does_not_have_says_what_there_is() {
    let error = Error::from_failure(failure("pay", json!(1)).await);
    assert_eq!(
        error.to_string(),
        "this worker has no activity `pay`; it has charge, panics, read_file"
    );
}
