//! The ten lines of the README.

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[activity]
async fn greet(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[workflow]
async fn hello(wf: Workflow, name: String) -> Result<String> {
    wf.call(greet, name).await
}

fn worker() -> Worker {
    Worker::new("hello").workflow(hello).activity(greet)
}

#[tokio::test]
async fn hello_asks_for_its_activity_and_returns_what_it_said() {
    let mut run = Script::start(worker(), "hello", &[json!("World")]);
    assert_eq!(run.turn().await, ["ScheduleActivityTask greet#1 \"World\""]);
    run.activity_completed("1", json!("Hello, World!"));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"Hello, World!\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn the_body_of_an_activity_is_a_plain_function() {
    assert_eq!(
        greet::body("World".to_owned()).await.unwrap(),
        "Hello, World!"
    );
}

#[tokio::test]
async fn a_workflow_that_this_worker_does_not_have_fails_the_task_and_says_what_there_is() {
    let mut run = Script::start(worker(), "goodbye", &[]);
    let (_, message) = run.failing_turn().await;
    assert_eq!(
        message,
        "this worker has no workflow `goodbye`; it has hello"
    );
}

#[tokio::test]
async fn an_input_of_another_shape_fails_the_task_and_says_which_argument() {
    let mut run = Script::start(worker(), "hello", &[json!(5)]);
    let (_, message) = run.failing_turn().await;
    assert!(
        message.starts_with("the input of workflow `hello` can't be read: argument 1"),
        "{message}"
    );
}

#[tokio::test]
async fn a_result_of_another_shape_fails_the_task_so_that_nothing_is_lost() {
    let mut run = Script::start(worker(), "hello", &[json!("World")]);
    run.turn().await;
    run.activity_completed("1", json!(["not", "text"]));
    let (_, message) = run.failing_turn().await;
    assert!(
        message.starts_with("`greet`: the result is not what the code takes"),
        "{message}"
    );
}
