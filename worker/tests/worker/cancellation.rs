//! Requests to cancel a workflow, and what its calls do with them.

use std::time::Duration;

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[activity]
async fn work(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn plain(wf: Workflow) -> Result<u32> {
    wf.call(work, 1).await?;
    wf.sleep(Duration::from_secs(9)).await?;
    Ok(1)
}

#[workflow]
async fn waits_for_it(wf: Workflow) -> Result<u32> {
    wf.call(work, 1).cancellation(Cancellation::Wait).await
}

#[workflow]
async fn abandons(wf: Workflow) -> Result<u32> {
    wf.call(work, 1).cancellation(Cancellation::Abandon).await
}

#[workflow]
async fn cleans_up(wf: Workflow) -> Result<u32> {
    if let Err(error) = wf.call(work, 1).await {
        assert!(error.is_canceled());
        wf.call(work, 2).await?;
        return Err(error);
    }
    Ok(1)
}

#[workflow]
async fn decides_alone(wf: Workflow) -> Result<String> {
    let mut call = wf.call(work, 1);
    select! {
        done = &mut call => return Ok(format!("{}", done?)),
        () = wf.cancelled() => {}
    }
    let done = call.await?;
    Ok(format!(
        "asked to cancel, finished with {done} all the same"
    ))
}

#[workflow]
async fn listens(wf: Workflow) -> Result<()> {
    let signals = wf.signals_named::<u32>("s");
    loop {
        signals.recv().await?;
    }
}

#[workflow]
async fn whichever_is_first(wf: Workflow) -> Result<()> {
    loop {
        select! {
            done = wf.call(work, 1) => { done?; }
            slept = wf.sleep(Duration::from_secs(9)) => slept?,
        }
    }
}

fn start(workflow: &str) -> Script {
    let worker = Worker::new("q")
        .workflow(plain)
        .workflow(waits_for_it)
        .workflow(abandons)
        .workflow(cleans_up)
        .workflow(decides_alone)
        .workflow(listens)
        .workflow(whichever_is_first);
    Script::start(worker, workflow, &[])
}

#[tokio::test]
async fn a_request_ends_what_is_waited_for_and_then_the_workflow() {
    let mut run = start("plain");
    run.turn().await;
    run.cancel_requested();
    assert_eq!(
        run.turn().await,
        [
            "RequestCancelActivityTask of event 5",
            "CancelWorkflowExecution"
        ]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_request_before_the_first_turn_ends_the_first_wait() {
    let mut run = start("plain");
    run.cancel_requested();
    assert_eq!(run.turn().await, ["CancelWorkflowExecution"]);
    run.replays().await;
}

#[tokio::test]
async fn a_request_ends_a_timer() {
    let mut run = start("plain");
    run.turn().await;
    run.activity_completed("1", json!(1));
    run.turn().await;
    run.cancel_requested();
    assert_eq!(
        run.turn().await,
        ["CancelTimer #1", "CancelWorkflowExecution"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_call_that_waits_returns_when_the_activity_has_ended() {
    let mut run = start("waits_for_it");
    run.turn().await;
    run.cancel_requested();
    assert_eq!(run.turn().await, ["RequestCancelActivityTask of event 5"]);
    run.activity_canceled("1");
    assert_eq!(run.turn().await, ["CancelWorkflowExecution"]);
    run.replays().await;
}

#[tokio::test]
async fn an_abandoned_activity_is_not_asked() {
    let mut run = start("abandons");
    run.turn().await;
    run.cancel_requested();
    assert_eq!(run.turn().await, ["CancelWorkflowExecution"]);
    run.replays().await;
}

#[tokio::test]
async fn clean_up_after_a_cancellation_is_plain_code() {
    let mut run = start("cleans_up");
    run.turn().await;
    run.cancel_requested();
    assert_eq!(
        run.turn().await,
        [
            "RequestCancelActivityTask of event 5",
            "ScheduleActivityTask work#2 2"
        ]
    );
    run.activity_canceled("1");
    run.activity_completed("2", json!(2));
    assert_eq!(run.turn().await, ["CancelWorkflowExecution"]);
    run.replays().await;
}

#[tokio::test]
async fn code_that_waits_for_the_request_decides_alone() {
    let mut run = start("decides_alone");
    run.turn().await;
    run.cancel_requested();
    assert_eq!(run.turn().await, [""; 0]);
    run.activity_completed("1", json!(4));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"asked to cancel, finished with 4 all the same\""]
    );
    run.replays().await;
}

/// What a canceled call waits for may end before its code has run again: both are told in one turn, the request first.
#[tokio::test]
async fn what_ends_behind_the_request_in_one_turn_is_not_canceled() {
    let mut run = start("plain");
    run.turn().await;
    run.cancel_requested();
    run.activity_completed("1", json!(1));
    let asked = run.turn().await;
    assert!(
        !asked
            .iter()
            .any(|ask| ask.starts_with("RequestCancelActivityTask")),
        "the activity is over, and the engine refuses to cancel it: {asked:?}"
    );

    let mut run = start("plain");
    run.turn().await;
    run.activity_completed("1", json!(1));
    run.turn().await;
    run.cancel_requested();
    run.timer_fired("1");
    let asked = run.turn().await;
    assert!(
        !asked.iter().any(|ask| ask.starts_with("CancelTimer")),
        "the timer has fired, and the engine refuses to cancel it: {asked:?}"
    );
}

/// Code that takes a signal, or the end of another call, in the turn of the request has left the wait that the request would have ended.
#[tokio::test]
async fn a_request_is_not_lost_to_what_comes_with_it() {
    for request_first in [true, false] {
        let mut run = start("listens");
        run.turn().await;
        if request_first {
            run.cancel_requested();
        }
        run.signaled("s", json!(1));
        if !request_first {
            run.cancel_requested();
        }
        assert_eq!(run.turn().await, ["CancelWorkflowExecution"]);
        run.replays().await;

        let mut run = start("whichever_is_first");
        run.turn().await;
        run.cancel_requested();
        if request_first {
            run.timer_fired("1");
        } else {
            run.activity_completed("1", json!(1));
        }
        let asked = run.turn().await;
        assert_eq!(
            asked.last().map(String::as_str),
            Some("CancelWorkflowExecution"),
            "{asked:?}"
        );
        run.replays().await;
    }
}
