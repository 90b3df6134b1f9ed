//! Futures that are not the engine's.

use std::{sync::Mutex, time::Duration};

use history::event::WorkflowTaskFailedCause as Cause;
use tokio::sync::oneshot;
use worker::prelude::*;

use crate::support::Script;

static SENDER: Mutex<Option<oneshot::Sender<u32>>> = Mutex::new(None);

#[workflow]
async fn sleeps_on_tokio(_wf: Workflow) -> Result<u32> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(1)
}

#[workflow]
async fn connects(_wf: Workflow) -> Result<u32> {
    tokio::net::TcpStream::connect("127.0.0.1:1").await?;
    Ok(1)
}

#[workflow]
async fn waits_for_a_channel(_wf: Workflow) -> Result<u32> {
    let (_sender, receiver) = oneshot::channel::<u32>();
    Ok(receiver.await?)
}

#[workflow]
async fn is_woken_by_a_thread(wf: Workflow) -> Result<u32> {
    let (sender, receiver) = oneshot::channel::<u32>();
    *SENDER.lock().unwrap() = Some(sender);
    select! {
        number = receiver => Ok(number?),
        slept = wf.sleep(Duration::from_secs(9)) => { slept?; Ok(0) }
    }
}

#[workflow]
async fn channels_inside(wf: Workflow) -> Result<u32> {
    let (sender, receiver) = oneshot::channel::<u32>();
    let (number, slept) = join!(receiver, async {
        wf.sleep(Duration::from_secs(9)).await?;
        sender.send(5).map_err(|_| Error::new("nobody listens"))
    });
    slept?;
    Ok(number?)
}

#[workflow]
async fn spins(_wf: Workflow) -> Result<u32> {
    loop {
        tokio::task::yield_now().await;
    }
}

#[workflow]
async fn panics(_wf: Workflow) -> Result<u32> {
    Err(Error::new(format!("{}", 1 / "".len())))
}

fn start(workflow: &str) -> Script {
    let worker = Worker::new("q")
        .workflow(sleeps_on_tokio)
        .workflow(connects)
        .workflow(waits_for_a_channel)
        .workflow(is_woken_by_a_thread)
        .workflow(channels_inside)
        .workflow(spins)
        .workflow(panics);
    Script::start(worker, workflow, &[])
}

async fn refused(workflow: &str) -> String {
    let (cause, message) = start(workflow).failing_turn().await;
    assert_eq!(cause, Cause::NonDeterministicError, "{message}");
    message
}

#[tokio::test]
async fn a_sleep_of_tokio_is_named_with_its_place() {
    let message = refused("sleeps_on_tokio").await;
    assert!(message.contains("tokio::time::sleep"), "{message}");
    assert!(message.contains("foreign.rs:"), "{message}");
}

#[tokio::test]
async fn a_socket_is_named() {
    let message = refused("connects").await;
    assert!(message.contains("tokio::net::"), "{message}");
}

#[tokio::test]
async fn a_wait_for_nothing_of_the_engine_is_named() {
    let message = refused("waits_for_a_channel").await;
    assert!(
        message.contains("only for tokio::sync::oneshot::Receiver"),
        "{message}"
    );
}

#[tokio::test]
async fn code_woken_from_another_thread_is_refused_at_the_next_turn() {
    let mut run = start("is_woken_by_a_thread");
    assert_eq!(run.turn().await, ["StartTimer #1 9000ms"]);
    let sender = SENDER.lock().unwrap().take().unwrap();
    sender.send(1).unwrap();
    run.timer_fired("1");
    let (cause, message) = run.failing_turn().await;
    assert_eq!(cause, Cause::NonDeterministicError);
    assert!(
        message.contains("woken from outside the engine by tokio::sync::oneshot"),
        "{message}"
    );
}

#[tokio::test]
async fn a_channel_inside_one_run_is_fine() {
    let mut run = start("channels_inside");
    assert_eq!(run.turn().await, ["StartTimer #1 9000ms"]);
    run.timer_fired("1");
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution 5"]);
    run.replays().await;
}

#[tokio::test]
async fn code_that_keeps_waking_itself_is_stopped() {
    let message = refused("spins").await;
    assert!(message.contains("woke itself 100000 times"), "{message}");
}

#[tokio::test]
async fn a_panic_fails_the_task_with_its_place_and_the_run_waits_for_a_fix() {
    let (cause, message) = start("panics").failing_turn().await;
    assert_eq!(cause, Cause::WorkflowWorkerUnhandledFailure);
    assert!(
        message.contains("foreign.rs:") && message.contains("divide by zero"),
        "{message}"
    );
}
