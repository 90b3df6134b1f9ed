//! Code that changes under runs on the way.

use std::time::Duration;

use history::event::WorkflowTaskFailedCause as Cause;
use serde_json::json;
use worker::{code::WorkflowCode, prelude::*};

use crate::support::Script;

#[activity]
async fn old_way(n: u32) -> Result<u32> {
    Ok(n)
}

#[activity]
async fn new_way(n: u32) -> Result<u32> {
    Ok(n)
}

const OLD: &str = "ScheduleActivityTask old_way#1 7";
const NEW: &str = "ScheduleActivityTask new_way#1 7";
const MARKER: &str = r#"RecordMarker core_patch {"deprecated":false,"id":"way"}"#;
const DEPRECATED: &str = r#"RecordMarker core_patch {"deprecated":true,"id":"way"}"#;
const AGAIN: &str = "ScheduleActivityTask new_way#2 8";
const AGAIN_OLD: &str = "ScheduleActivityTask old_way#2 8";

#[workflow(name = "w")]
async fn before(wf: Workflow, n: u32) -> Result<u32> {
    let n = wf.call(old_way, n).await?;
    wf.call(old_way, n).await
}

#[workflow(name = "w")]
async fn patched(wf: Workflow, n: u32) -> Result<u32> {
    let mut n = n;
    for _ in 0..2 {
        n = if wf.patched("way") {
            wf.call(new_way, n).await?
        } else {
            wf.call(old_way, n).await?
        };
    }
    Ok(n)
}

#[workflow(name = "w")]
async fn deprecated(wf: Workflow, n: u32) -> Result<u32> {
    wf.deprecate_patch("way");
    let n = wf.call(new_way, n).await?;
    wf.call(new_way, n).await
}

#[workflow(name = "w")]
async fn after(wf: Workflow, n: u32) -> Result<u32> {
    let n = wf.call(new_way, n).await?;
    wf.call(new_way, n).await
}

/// Asks for the patch where runs of before the change have only slept.
#[workflow(name = "sleeper")]
async fn sleeper_before(wf: Workflow) -> Result<bool> {
    wf.sleep(Duration::from_secs(1)).await?;
    Ok(false)
}

#[workflow(name = "sleeper")]
async fn sleeper(wf: Workflow) -> Result<bool> {
    wf.sleep(Duration::from_secs(1)).await?;
    Ok(wf.patched("later"))
}

fn of<W: WorkflowCode>(workflow: fn() -> W) -> Worker {
    Worker::new("q").workflow(workflow)
}

/// Plays the first task of a run of one code, and completes the activity it asks for.
async fn begun(code: Worker, first_task: &[&str]) -> Script {
    let mut run = Script::start(code, "w", &[json!(7)]);
    assert_eq!(run.turn().await, first_task);
    run.activity_completed("1", json!(8));
    run
}

async fn goes_on(run: &mut Script, code: Worker) -> Vec<String> {
    run.change_code(code);
    run.turn().await
}

#[tokio::test]
async fn a_new_run_goes_the_new_way_and_notes_it_once() {
    let mut run = begun(of(patched), &[MARKER, NEW]).await;
    assert_eq!(run.turn().await, [AGAIN]);
    run.activity_completed("2", json!(9));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 9"]);
    run.replays().await;
}

#[tokio::test]
async fn a_run_of_before_the_change_stays_on_the_old_way() {
    let mut run = begun(of(before), &[OLD]).await;
    assert_eq!(goes_on(&mut run, of(patched)).await, [AGAIN_OLD]);
    run.activity_completed("2", json!(9));
    run.evict();
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 9"]);
}

#[tokio::test]
async fn a_run_that_comes_to_the_change_after_it_was_made_goes_the_new_way() {
    let mut run = Script::start(of(sleeper_before), "sleeper", &[]);
    assert_eq!(run.turn().await, ["StartTimer #1 1000ms"]);
    run.timer_fired("1");
    assert_eq!(
        goes_on(&mut run, of(sleeper)).await,
        [
            r#"RecordMarker core_patch {"deprecated":false,"id":"later"}"#,
            "CompleteWorkflowExecution true"
        ]
    );
}

#[tokio::test]
async fn a_deprecated_patch_meets_histories_with_and_without_its_marker() {
    let mut run = begun(of(patched), &[MARKER, NEW]).await;
    assert_eq!(goes_on(&mut run, of(deprecated)).await, [AGAIN]);
    let mut run = begun(of(deprecated), &[DEPRECATED, NEW]).await;
    assert_eq!(goes_on(&mut run, of(deprecated)).await, [AGAIN]);
    let mut run = begun(of(deprecated), &[DEPRECATED, NEW]).await;
    assert_eq!(goes_on(&mut run, of(patched)).await, [AGAIN]);
    let mut run = begun(of(after), &[NEW]).await;
    assert_eq!(goes_on(&mut run, of(deprecated)).await, [AGAIN]);
}

#[tokio::test]
async fn the_marker_of_a_deprecated_patch_may_be_left_out_and_that_of_another_may_not() {
    let mut run = begun(of(deprecated), &[DEPRECATED, NEW]).await;
    assert_eq!(goes_on(&mut run, of(after)).await, [AGAIN]);

    let mut run = begun(of(patched), &[MARKER, NEW]).await;
    run.change_code(of(after));
    let (cause, message) = run.failing_turn().await;
    assert_eq!(cause, Cause::NonDeterministicError);
    assert!(
        message.contains("the history has MarkerRecorded of patch `way`"),
        "{message}"
    );
}
