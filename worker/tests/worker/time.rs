//! Time, chance, what is known of the run, and going on in a new one.

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[workflow]
async fn looks_around(wf: Workflow) -> Result<(u64, u64, String, i64, u64)> {
    wf.sleep(Duration::from_secs(1)).await?;
    let now = wf.now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let info = wf.info();
    assert_eq!((info.workflow_id.as_str(), info.attempt), ("w", 1));
    assert!((5..8).contains(&wf.random_in(5..8)));
    Ok((
        now,
        wf.random(),
        wf.uuid().to_string(),
        info.history_length.0,
        wf.random(),
    ))
}

#[workflow]
async fn counter(wf: Workflow, n: u32) -> Result<u32> {
    if n < 3 {
        return wf.continue_as_new(counter, n + 1).await;
    }
    Ok(n)
}

#[workflow]
async fn by_reference(wf: &Workflow, a: u32, b: Option<u32>) -> Result<u32> {
    wf.sleep(Duration::ZERO).await?;
    Ok(a + b.unwrap_or(1))
}

fn worker() -> Worker {
    Worker::new("q")
        .workflow(looks_around)
        .workflow(counter)
        .workflow(by_reference)
}

#[tokio::test]
async fn time_and_chance_are_those_of_the_history() {
    let mut run = Script::start(worker(), "looks_around", &[]);
    run.turn().await;
    run.timer_fired("1");
    run.now += 5_000_000;
    let turn = run.turn().await;
    assert!(
        turn[0].starts_with("CompleteWorkflowExecution [1700000005,"),
        "{turn:?}"
    );
    run.replays().await;
}

#[tokio::test]
async fn a_run_goes_on_in_a_new_one() {
    let mut run = Script::start(worker(), "counter", &[json!(1)]);
    assert_eq!(run.turn().await, ["ContinueAsNewWorkflowExecution 2"]);
    run.replays().await;
    let mut run = Script::start(worker(), "counter", &[json!(3)]);
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 3"]);
}

#[tokio::test]
async fn an_argument_that_was_not_given_is_none_and_no_time_is_the_least_time() {
    let mut run = Script::start(worker(), "by_reference", &[json!(1)]);
    assert_eq!(run.turn().await, ["StartTimer #1 1ms"]);
    run.timer_fired("1");
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 2"]);
    run.replays().await;
}
