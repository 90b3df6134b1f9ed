//! Signals as channels.

use std::time::Duration;

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[signal]
#[derive(Debug)]
struct Approve {
    by: String,
}

#[signal(name = "stop-now")]
struct Stop;

#[workflow]
async fn three(wf: Workflow) -> Result<Vec<String>> {
    let approvals = wf.signals::<Approve>();
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(approvals.recv().await?.by);
    }
    Ok(names)
}

#[workflow]
async fn approval(wf: Workflow) -> Result<String> {
    let (approvals, stops) = (wf.signals::<Approve>(), wf.signals::<Stop>());
    select! {
        approve = approvals.recv() => Ok(format!("approved by {}", approve?.by)),
        stop = stops.recv() => stop.map(|Stop| "stopped".to_owned()).map_err(Error::from),
        slept = wf.sleep(Duration::from_hours(1)) => {
            slept?;
            Ok("nobody came".to_owned())
        }
    }
}

#[workflow]
async fn tells_others(wf: Workflow) -> Result<String> {
    let other = wf.external("other");
    other
        .signal(&Approve {
            by: "me".to_owned(),
        })
        .await?;
    let outcome = wf.external("gone").cancel().await;
    Ok(outcome.unwrap_err().to_string())
}

#[workflow]
async fn reads_what_does_not_fit(wf: Workflow) -> Result<Vec<String>> {
    let approvals = wf.signals::<Approve>();
    let mut read = vec![approvals.recv().await?.by];
    for _ in 0..2 {
        let raw = approvals.recv_raw().await?;
        read.push(if let Ok(approve) = raw.read::<Approve>() {
            approve.by
        } else {
            let message: serde_json::Value = raw.read()?;
            format!("{message} of event {}", raw.event_id())
        });
    }
    Ok(read)
}

#[workflow]
async fn reads_one(wf: Workflow) -> Result<String> {
    wf.signals::<Approve>().recv().await?;
    wf.continue_as_new(reads_one, ()).await
}

fn start(workflow: &str) -> Script {
    let worker = Worker::new("q")
        .workflow(reads_what_does_not_fit)
        .workflow(three)
        .workflow(approval)
        .workflow(tells_others)
        .workflow(reads_one);
    Script::start(worker, workflow, &[])
}

#[tokio::test]
async fn signals_come_in_the_order_they_were_sent_also_those_before_anybody_asked() {
    let mut run = start("three");
    run.signaled("approve", json!({ "by": "ann" }));
    run.signaled("approve", json!({ "by": "bob" }));
    assert_eq!(run.turn().await, [""; 0]);
    run.signaled("approve", json!({ "by": "cleo" }));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution [\"ann\",\"bob\",\"cleo\"]"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_signal_of_another_shape_is_passed_over() {
    let mut run = start("three");
    run.signaled("approve", json!({ "by": 5 }));
    for by in ["ann", "bob", "cleo"] {
        run.signaled("approve", json!({ "by": by }));
    }
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution [\"ann\",\"bob\",\"cleo\"]"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_signal_that_does_not_fit_stays_unread_with_the_reason() {
    let mut run = start("three");
    run.signaled("approve", json!({ "by": 5 }));
    run.signaled("approve", json!({ "by": "ann" }));
    run.signaled("else", json!(null));
    run.turn().await;
    let reports = |run: &Script| -> Vec<String> {
        run.unread
            .iter()
            .map(|unread| {
                let misfit = unread.first_misfit.as_ref();
                let problem = misfit.map_or("none", |misfit| misfit.problem.as_str());
                format!(
                    "{} {} from {}, {} misfit: {problem}",
                    unread.count, unread.signal_name, unread.first_event_id, unread.misfits
                )
            })
            .collect()
    };
    let expected = [
        "1 approve from 2, 1 misfit: argument 1 is not what the code takes: payload is not of the expected shape: \
         invalid type: integer `5`, expected a string at line 1 column 7",
        "1 else from 4, 0 misfit: none",
    ];
    assert_eq!(reports(&run), expected);
    // Another worker comes to the same.
    run.evict();
    run.turn().await;
    assert_eq!(reports(&run), expected);
}

#[tokio::test]
async fn code_can_read_the_signals_that_did_not_fit() {
    let mut run = start("reads_what_does_not_fit");
    run.signaled("approve", json!({ "by": 5 }));
    run.signaled("approve", json!({ "by": "ann" }));
    run.signaled("approve", json!({ "by": "bob" }));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution [\"ann\",\"{\\\"by\\\":5} of event 2\",\"bob\"]"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_deadline_passes_without_a_signal() {
    let mut run = start("approval");
    assert_eq!(run.turn().await, ["StartTimer #1 3600000ms"]);
    run.timer_fired("1");
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"nobody came\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_signal_beats_the_deadline_and_a_named_one_comes_on_its_own_channel() {
    let mut run = start("approval");
    run.turn().await;
    run.signaled("stop-now", json!(null));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution \"stopped\""]);
    run.replays().await;
}

#[tokio::test]
async fn signals_and_cancellations_to_others_say_whether_they_arrived() {
    let mut run = start("tells_others");
    assert_eq!(
        run.turn().await,
        ["SignalExternalWorkflowExecution other approve {\"by\":\"me\"}"]
    );
    run.event(
        "ExternalWorkflowExecutionSignaled",
        json!({ "initiated_event_id": 5, "namespace": "default", "workflow_id": "other" }),
    );
    assert_eq!(
        run.turn().await,
        ["RequestCancelExternalWorkflowExecution gone"]
    );
    run.event(
        "RequestCancelExternalWorkflowExecutionFailed",
        json!({
            "cause": "ExternalWorkflowExecutionNotFound", "workflow_task_completed_event_id": 9,
            "namespace": "default", "workflow_id": "gone", "initiated_event_id": 10,
        }),
    );
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"there is no open workflow of that id\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn of_signals_that_do_not_fit_the_latest_go_over_to_the_next_run() {
    let mut run = start("reads_one");
    for n in 0..150 {
        run.signaled("approve", json!({ "by": n }));
    }
    run.signaled("unheard-of", json!(1));
    run.signaled("approve", json!({ "by": "ann" }));
    let turn = run.turn().await.join("");
    let carried: Vec<&str> = turn.split(" unread approve ").skip(1).collect();
    assert_eq!(carried.len(), worker::context::MISFITS_CARRIED_MAX);
    assert_eq!(carried[0], "{\"by\":50}");
    assert_eq!(carried[99], "{\"by\":149} unread unheard-of 1");
    run.replays().await;
}

#[tokio::test]
async fn signals_that_do_not_fit_never_fill_what_goes_over_to_the_next_run() {
    let mut run = start("reads_one");
    let large = "x".repeat(worker::context::MISFIT_BYTES_CARRIED_MAX / 2 - 100);
    for n in 0..5 {
        run.signaled("approve", json!({ "by": n, "with": large }));
    }
    run.signaled("approve", json!({ "by": "ann" }));
    let turn = run.turn().await.join("");
    let carried: Vec<&str> = turn.split(" unread approve ").skip(1).collect();
    assert_eq!(carried.len(), 2);
    assert!(carried[0].starts_with("{\"by\":3,"));
}

#[tokio::test]
async fn what_was_not_read_goes_over_to_the_next_run_in_the_order_it_came() {
    let mut run = start("reads_one");
    run.signaled("approve", json!({ "by": "ann" }));
    run.signaled("stop-now", json!(null));
    run.signaled("approve", json!({ "by": "bob" }));
    run.signaled("unheard-of", json!(1));
    assert_eq!(
        run.turn().await,
        [concat!(
            "ContinueAsNewWorkflowExecution  unread stop-now null",
            " unread approve {\"by\":\"bob\"} unread unheard-of 1"
        )]
    );
    run.replays().await;
}
