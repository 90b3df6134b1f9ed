//! Code against history, through the driver.

use std::time::Duration;

use history::event::WorkflowTaskFailedCause as Cause;
use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[activity]
async fn charge(order: u32) -> Result<u32> {
    Ok(order)
}

#[activity]
async fn refund(order: u32) -> Result<u32> {
    Ok(order)
}

#[workflow]
async fn checkout(wf: Workflow, order: u32) -> Result<u32> {
    wf.call(charge, order).await?;
    wf.sleep(Duration::from_secs(1)).await?;
    wf.call(charge, order).await
}

#[workflow(name = "checkout")]
async fn other_activity(wf: Workflow, order: u32) -> Result<u32> {
    wf.call(refund, order).await
}

#[workflow(name = "checkout")]
async fn timer_left_out(wf: Workflow, order: u32) -> Result<u32> {
    wf.call(charge, order).await?;
    wf.call(charge, order).await
}

#[workflow(name = "checkout")]
async fn timer_added(wf: Workflow, order: u32) -> Result<u32> {
    let (result, _) = join!(wf.call(charge, order), wf.sleep(Duration::from_secs(5)));
    result
}

fn worker() -> Worker {
    Worker::new("q").workflow(checkout)
}

async fn after_the_timer() -> Script {
    let mut run = Script::start(worker(), "checkout", &[json!(7)]);
    assert_eq!(run.turn().await, ["ScheduleActivityTask charge#1 7"]);
    run.activity_completed("1", json!(7));
    assert_eq!(run.turn().await, ["StartTimer #1 1000ms"]);
    run.timer_fired("1");
    run
}

async fn changed(worker: Worker) -> String {
    let mut run = after_the_timer().await;
    run.change_code(worker);
    let (cause, message) = run.failing_turn().await;
    assert_eq!(cause, Cause::NonDeterministicError);
    let (disagreement, mend) = message.split_once("; ").unwrap();
    for way in [
        "wf.patched",
        "the build that began it",
        "another workflow name",
    ] {
        assert!(mend.contains(way), "{mend}");
    }
    disagreement.to_owned()
}

#[tokio::test]
async fn an_evicted_run_is_built_again_from_its_history() {
    let mut run = after_the_timer().await;
    run.evict();
    assert_eq!(run.turn().await, ["ScheduleActivityTask charge#2 7"]);
    run.activity_completed("2", json!(8));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 8"]);
    run.replays().await;
}

#[tokio::test]
async fn events_for_a_run_that_is_not_cached_ask_for_the_whole_history() {
    let mut run = after_the_timer().await;
    run.hosted = crate::support::Hosted::new(worker());
    let (cause, _) = run.failing_turn().await;
    assert_eq!(cause, Cause::ResetStickyTaskQueue);
}

#[tokio::test]
async fn another_activity_is_named_with_its_event() {
    assert_eq!(
        changed(Worker::new("q").workflow(other_activity)).await,
        "event 5: the history has ActivityTaskScheduled of `charge` with id 1, \
         but the code asked for ActivityTaskScheduled of `refund` with id 1"
    );
}

#[tokio::test]
async fn a_timer_that_was_left_out_is_named_with_its_event() {
    assert_eq!(
        changed(Worker::new("q").workflow(timer_left_out)).await,
        "event 11: the history has TimerStarted with id 1, \
         but the code asked for ActivityTaskScheduled of `charge` with id 2"
    );
}

#[tokio::test]
async fn a_timer_that_was_added_is_named_with_the_place_where_it_would_stand() {
    assert_eq!(
        changed(Worker::new("q").workflow(timer_added)).await,
        "event 6: the history has no further command of this workflow task, \
         but the code asked for TimerStarted with id 1"
    );
}

#[tokio::test]
async fn an_attempt_that_failed_leaves_its_events_to_the_next() {
    let mut run = Script::start(worker(), "checkout", &[json!(7)]);
    run.turn().await;
    run.activity_completed("1", json!(7));
    run.task_started();
    run.event(
        "WorkflowTaskFailed",
        json!({ "scheduled_event_id": 8, "started_event_id": 9, "cause": "Unspecified" }),
    );
    run.evict();
    assert_eq!(run.turn().await, ["StartTimer #1 1000ms"]);
    run.replays().await;
}
