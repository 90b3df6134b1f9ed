//! A read that fails while commits go well: what was to be read has work to do, and nobody asks for it.

use std::{sync::Arc, time::Duration};

use engine::Config;
use history::{
    BuildId, Command, EventKind, Failure, Identity, TaskQueue, TimerId,
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{FromWorker, ToWorker, WorkerHello, WorkflowTask, WorkflowTaskAnswer},
    time::Millis,
};

use crate::{
    ledger::Ledger,
    proxy::{Action, FOLD, HISTORY, PARKED, Point, Proxy},
    support::*,
};

/// Workflow code that sleeps for a second.
fn sleeper() -> Script {
    Arc::new(|_, events| {
        let seen = |of: fn(&EventKind) -> bool| count(events, of) > 0;
        if seen(|kind| matches!(kind, EventKind::TimerFired(_))) {
            vec![complete("rang")]
        } else if seen(|kind| matches!(kind, EventKind::TimerStarted(_))) {
            Vec::new()
        } else {
            vec![Command::StartTimer {
                timer_id: TimerId::known("t"),
                start_to_fire_timeout: Millis::seconds(2),
            }]
        }
    })
}

/// A parked run is due, and what is read of it then is cut once.
async fn a_parked_timer_fires_though_cut_at(point: Point) {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let config = Config {
        park_after: Duration::from_millis(1),
        ..Config::new(through, "http://127.0.0.1:1")
    };
    let engine = owner_with(config).await;
    work(&engine, sleeper(), echo());
    let ledger = Ledger::default();
    let started = engine
        .start_workflow(&namespace(), start("sleeper", "s"))
        .await
        .unwrap();
    until(&url, "EXISTS (SELECT FROM open_run WHERE parked)").await;
    let mut cut = proxy.once(point, Action::Cut);
    cut.reached().await;
    until(&url, "EXISTS (SELECT FROM execution WHERE status = 2)").await;
    ledger.completed("s", started.run_id, 0);
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_timer_fires_though_its_workflow_could_not_be_looked_up() {
    a_parked_timer_fires_though_cut_at(PARKED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_timer_fires_though_its_history_could_not_be_read() {
    a_parked_timer_fires_though_cut_at(FOLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_that_has_evicted_its_run_was_sent_is_durable_before_its_history_is_read() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    let hello = WorkerHello {
        identity: Identity::known("by hand"),
        namespace: namespace(),
        task_queue: TaskQueue::known("q"),
        workflow_slots: 1,
        activity_slots: 0,
        build_id: BuildId::known("by hand"),
    };
    let (answers, mut tasks) = connect_worker(&engine, hello);
    let mut next = async || loop {
        match tasks.recv().await.expect("the engine owns") {
            ToWorker::WorkflowTask(task) => break task,
            ToWorker::ActivityTask(_)
            | ToWorker::CancelActivity(_)
            | ToWorker::HeartbeatWanted(_)
            | ToWorker::ActivityRefused { .. }
            | ToWorker::Evict(_) => {}
        }
    };
    let answer = |task: WorkflowTask, answer| {
        let token = task.token;
        assert!(answers.send(FromWorker::WorkflowTask { token, answer }));
    };
    let waits = || WorkflowTaskAnswer::Completed {
        commands: Vec::new(),
        sdk_metadata: SdkMetadata::default(),
        sticky: true,
        unread_signals: Vec::new(),
    };
    engine
        .start_workflow(&namespace(), start("waits", "w"))
        .await
        .unwrap();
    answer(next().await, waits());
    until(
        &url,
        "EXISTS (SELECT FROM history WHERE records LIKE '%WorkflowTaskCompleted%')",
    )
    .await;

    let mut read = proxy.once(HISTORY, Action::Hold);
    let signaled = tokio::spawn({
        let engine = engine.clone();
        async move { engine.signal(&address("w"), signal("s")).await }
    });
    let evicted = WorkflowTaskAnswer::Failed {
        cause: WorkflowTaskFailedCause::ResetStickyTaskQueue,
        failure: Box::new(Failure::application("evicted", "Evicted", false)),
    };
    answer(next().await, evicted);
    read.reached().await;
    tokio::time::timeout(PATIENCE / 4, signaled)
        .await
        .expect("the signal does not wait for the read")
        .unwrap()
        .unwrap();
    read.pass();
    answer(next().await, waits());
}
