//! Child workflows.

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[workflow]
async fn child(_wf: Workflow, n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn parent(wf: Workflow) -> Result<Vec<u32>> {
    try_join_all((1..3).map(|n| wf.child(child, n))).await
}

#[workflow]
async fn named(wf: Workflow) -> Result<String> {
    let handle = wf
        .child(child, 1)
        .id("my-child")
        .parent_close_policy(ParentClosePolicy::Abandon)
        .start()
        .await?;
    handle.signal(&Nudge {}).await?;
    handle.cancel();
    let result = handle.result().await;
    let again = handle.result().await;
    Ok(format!(
        "{}: {} {}",
        handle.workflow_id(),
        result.is_err(),
        again.unwrap_err()
    ))
}

#[signal]
struct Nudge {}

#[workflow]
async fn loses_patience(wf: Workflow) -> Result<u32> {
    select! {
        done = wf.child(child, 1).id("slow") => done,
        slept = wf.sleep(Duration::from_secs(1)) => { slept?; wf.child(child, 2).id("quick").await }
    }
}

fn start(workflow: &str) -> Script {
    let worker = Worker::new("q")
        .workflow(parent)
        .workflow(named)
        .workflow(loses_patience);
    Script::start(worker, workflow, &[])
}

#[tokio::test]
async fn children_get_ids_of_their_own_and_their_results_come_in_order() {
    let mut run = start("parent");
    assert_eq!(
        run.turn().await,
        [
            "StartChildWorkflowExecution w/1-abcdef01 1",
            "StartChildWorkflowExecution w/2-abcdef01 2"
        ]
    );
    for id in ["w/2-abcdef01", "w/1-abcdef01"] {
        run.child_started(id);
    }
    assert_eq!(run.turn().await, [""; 0]);
    for (id, result) in [("w/2-abcdef01", json!(2)), ("w/1-abcdef01", json!(1))] {
        run.child_ended(
            id,
            "ChildWorkflowExecutionCompleted",
            json!({ "result": crate::support::payloads(&[result]) }),
        );
    }
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution [1,2]"]);
    run.replays().await;
}

#[tokio::test]
async fn a_handle_signals_and_cancels_and_tells_the_result_more_than_once() {
    let mut run = start("named");
    assert_eq!(run.turn().await, ["StartChildWorkflowExecution my-child 1"]);
    run.child_started("my-child");
    assert_eq!(
        run.turn().await,
        ["SignalExternalWorkflowExecution my-child nudge {}"]
    );
    run.event(
        "ExternalWorkflowExecutionSignaled",
        json!({ "initiated_event_id": 10, "namespace": "default", "workflow_id": "my-child" }),
    );
    assert_eq!(
        run.turn().await,
        ["RequestCancelExternalWorkflowExecution my-child"]
    );
    run.child_ended("my-child", "ChildWorkflowExecutionCanceled", json!({}));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"my-child: true child workflow `child` failed: canceled\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_child_that_fails_or_does_not_start_fails_its_parent() {
    let mut run = start("parent");
    run.turn().await;
    run.child_started("w/1-abcdef01");
    run.child_ended(
        "w/1-abcdef01",
        "ChildWorkflowExecutionFailed",
        json!({ "failure": history::Failure::application("no luck", "E", false) }),
    );
    assert_eq!(
        run.turn().await,
        ["FailWorkflowExecution child workflow `child` failed: no luck"]
    );
    run.replays().await;

    let mut run = start("parent");
    run.turn().await;
    run.event(
        "StartChildWorkflowExecutionFailed",
        json!({
            "namespace": "default", "workflow_id": "w/1-abcdef01", "workflow_type": "child",
            "cause": "WorkflowAlreadyExists", "initiated_event_id": 5, "workflow_task_completed_event_id": 4,
        }),
    );
    assert_eq!(
        run.turn().await,
        ["FailWorkflowExecution workflow id w/1-abcdef01 is in use"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_child_that_lost_a_select_is_asked_to_cancel() {
    let mut run = start("loses_patience");
    run.turn().await;
    run.child_started("slow");
    run.timer_fired("1");
    assert_eq!(
        run.turn().await,
        [
            "RequestCancelExternalWorkflowExecution slow",
            "StartChildWorkflowExecution quick 2"
        ]
    );
    run.replays().await;
}
