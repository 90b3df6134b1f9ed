//! Several futures at once: the order is that of the code and the history, never that of a scheduler.

use std::time::Duration;

use serde_json::json;
use worker::prelude::*;

use crate::support::Script;

#[activity]
async fn work(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn first_wins(wf: Workflow) -> Result<String> {
    let said = select! {
        done = wf.call(work, 1) => format!("work said {}", done?),
        _ = wf.sleep(Duration::from_mins(1)) => "too late".to_owned(),
    };
    wf.call(work, 2).await?;
    Ok(said)
}

#[workflow]
async fn joined(wf: Workflow) -> Result<Vec<u32>> {
    let (a, b) = join!(wf.call(work, 1), wf.call(work, 2));
    let more = join_all((3..6).map(|n| wf.call(work, n))).await;
    let mut all = vec![a?, b?];
    for one in more {
        all.push(one?);
    }
    Ok(all)
}

#[workflow]
async fn unordered(wf: Workflow) -> Result<Vec<u32>> {
    use futures::StreamExt as _;
    let mut calls: futures::stream::FuturesUnordered<_> =
        (0..3).map(|n| wf.call(work, n)).collect();
    let mut order = Vec::new();
    while let Some(done) = calls.next().await {
        order.push(done?);
    }
    Ok(order)
}

#[workflow]
async fn fails_fast(wf: Workflow) -> Result<Vec<u32>> {
    try_join_all([wf.call(work, 1), wf.call(work, 2)]).await
}

#[workflow]
async fn changes_its_mind(wf: Workflow) -> Result<u32> {
    drop_unfinished(&wf).await;
    wf.call(work, 9).await
}

/// Asks for an activity and a timer and drops both in the same turn.
async fn drop_unfinished(wf: &Workflow) {
    select! {
        _ = wf.call(work, 1) => {}
        _ = wf.sleep(Duration::from_secs(1)) => {}
        () = std::future::ready(()) => {}
    }
}

#[workflow]
async fn two_at_a_time(wf: Workflow) -> Result<Vec<u32>> {
    join_bounded(2, (1..6).map(|n| wf.call(work, n)))
        .await
        .into_iter()
        .collect()
}

#[workflow]
async fn two_at_a_time_or_none(wf: Workflow) -> Result<Vec<u32>> {
    try_join_bounded(2, (1..6).map(|n| wf.call(work, n))).await
}

fn worker() -> Worker {
    Worker::new("q")
        .workflow(two_at_a_time)
        .workflow(two_at_a_time_or_none)
        .workflow(first_wins)
        .workflow(joined)
        .workflow(unordered)
        .workflow(fails_fast)
        .workflow(changes_its_mind)
}

fn start(workflow: &str) -> Script {
    Script::start(worker(), workflow, &[])
}

#[tokio::test]
async fn the_timer_that_lost_a_select_is_canceled() {
    let mut run = start("first_wins");
    assert_eq!(
        run.turn().await,
        ["ScheduleActivityTask work#1 1", "StartTimer #1 60000ms"]
    );
    run.activity_completed("1", json!(1));
    assert_eq!(
        run.turn().await,
        ["CancelTimer #1", "ScheduleActivityTask work#2 2"]
    );
    run.activity_completed("2", json!(2));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution \"work said 1\""]
    );
    run.replays().await;
}

#[tokio::test]
async fn the_activity_that_lost_a_select_is_asked_to_cancel() {
    let mut run = start("first_wins");
    run.turn().await;
    run.timer_fired("1");
    assert_eq!(
        run.turn().await,
        [
            "RequestCancelActivityTask of event 5",
            "ScheduleActivityTask work#2 2"
        ]
    );
    run.activity_canceled("1");
    run.activity_completed("2", json!(2));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution \"too late\""]);
    run.replays().await;
}

#[tokio::test]
async fn of_two_that_are_done_in_one_turn_the_one_written_first_wins() {
    let mut run = start("first_wins");
    run.turn().await;
    run.timer_fired("1");
    run.activity_completed("1", json!(1));
    assert_eq!(
        run.turn().await,
        ["CancelTimer #1", "ScheduleActivityTask work#2 2"][1..]
    );
    run.replays().await;
}

#[tokio::test]
async fn joins_ask_in_the_order_written_and_return_in_it() {
    let mut run = start("joined");
    assert_eq!(
        run.turn().await,
        [
            "ScheduleActivityTask work#1 1",
            "ScheduleActivityTask work#2 2"
        ]
    );
    run.activity_completed("2", json!(2));
    assert_eq!(run.turn().await, [""; 0]);
    run.activity_completed("1", json!(1));
    assert_eq!(run.turn().await.len(), 3);
    for (id, n) in [("5", 5), ("3", 3), ("4", 4)] {
        run.activity_completed(id, json!(n));
    }
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution [1,2,3,4,5]"]);
    run.replays().await;
}

#[tokio::test]
async fn a_stream_of_futures_gives_them_in_the_order_of_the_history() {
    let mut run = start("unordered");
    assert_eq!(run.turn().await.len(), 3);
    run.activity_completed("3", json!(2));
    run.activity_completed("1", json!(0));
    assert_eq!(run.turn().await, [""; 0]);
    run.activity_completed("2", json!(1));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution [2,0,1]"]);
    run.replays().await;
}

#[tokio::test]
async fn the_first_failure_ends_a_try_join_and_the_run_leaves_moot_cancellations_out() {
    let mut run = start("fails_fast");
    run.turn().await;
    run.activity_failed("2", &history::Failure::application("no luck", "E", true));
    assert_eq!(
        run.turn().await,
        ["FailWorkflowExecution activity `work` failed: no luck"]
    );
    run.replays().await;
}

#[tokio::test]
async fn what_is_asked_for_and_dropped_in_one_turn_is_not_asked_for() {
    let mut run = start("changes_its_mind");
    assert_eq!(run.turn().await, ["ScheduleActivityTask work#2 9"]);
    run.activity_completed("2", json!(9));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 9"]);
    run.replays().await;
}

#[tokio::test]
async fn a_bounded_join_begins_the_next_one_when_another_is_done() {
    let mut run = start("two_at_a_time");
    assert_eq!(
        run.turn().await,
        [
            "ScheduleActivityTask work#1 1",
            "ScheduleActivityTask work#2 2"
        ]
    );
    run.activity_completed("2", json!(20));
    assert_eq!(run.turn().await, ["ScheduleActivityTask work#3 3"]);
    run.activity_completed("3", json!(30));
    run.activity_completed("1", json!(10));
    assert_eq!(
        run.turn().await,
        [
            "ScheduleActivityTask work#4 4",
            "ScheduleActivityTask work#5 5"
        ]
    );
    run.activity_completed("5", json!(50));
    assert_eq!(run.turn().await, [""; 0]);
    run.activity_completed("4", json!(40));
    assert_eq!(
        run.turn().await,
        ["CompleteWorkflowExecution [10,20,30,40,50]"]
    );
    run.replays().await;
}

#[tokio::test]
async fn a_failure_ends_a_bounded_join_and_nothing_further_begins() {
    let mut run = start("two_at_a_time_or_none");
    assert_eq!(run.turn().await.len(), 2);
    run.activity_failed("1", &history::Failure::application("no luck", "E", true));
    assert_eq!(
        run.turn().await,
        ["FailWorkflowExecution activity `work` failed: no luck"]
    );
    run.replays().await;
}
