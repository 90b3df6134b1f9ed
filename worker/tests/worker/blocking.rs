//! Workflow code that keeps its thread, and tasks that wait behind it.

use std::{
    cell::RefCell,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use history::{
    Millis,
    event::WorkflowTaskFailedCause as Cause,
    task::{FromWorker, ToWorker, WorkflowTask, WorkflowTaskAnswer},
};
use tokio::sync::oneshot;
use worker::prelude::*;

use crate::support::{Hosted, OnLog, first_task};

/// Blocks who comes until it opens.
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    came: AtomicU32,
}

impl Gate {
    const fn new() -> Self {
        Self {
            open: Mutex::new(false),
            opened: Condvar::new(),
            came: AtomicU32::new(0),
        }
    }

    fn pass(&self) {
        self.came.fetch_add(1, Ordering::Relaxed);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    async fn somebody_came(&self) {
        while self.came.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

static ONE: Gate = Gate::new();
static SEVERAL: Gate = Gate::new();
static BRIEF: Gate = Gate::new();
static COMING: Gate = Gate::new();
static DROPPING: Gate = Gate::new();
static LEAVING: Gate = Gate::new();

#[workflow]
async fn blocks_once(_wf: Workflow) -> Result<()> {
    ONE.pass();
    Ok(())
}

#[workflow]
async fn blocks_often(_wf: Workflow) -> Result<()> {
    SEVERAL.pass();
    Ok(())
}

#[workflow]
async fn blocks_briefly(_wf: Workflow) -> Result<()> {
    BRIEF.pass();
    Ok(())
}

/// Dropped by the first thread that runs `comes_back` when that thread ends.
static LAST_BREATH: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);

thread_local! {
    static OF_THREAD: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

#[workflow]
async fn comes_back(_wf: Workflow) -> Result<()> {
    if let Some(sender) = LAST_BREATH.lock().unwrap().take() {
        OF_THREAD.set(Some(sender));
    }
    COMING.pass();
    Ok(())
}

struct DropsSlowly;

impl Drop for DropsSlowly {
    fn drop(&mut self) {
        DROPPING.pass();
    }
}

#[workflow]
async fn drops_slowly(wf: Workflow) -> Result<()> {
    let _kept = DropsSlowly;
    wf.sleep(Duration::from_secs(1)).await?;
    Ok(())
}

#[workflow]
async fn never_ends(_wf: Workflow) -> Result<()> {
    LEAVING.pass();
    Ok(())
}

#[workflow]
async fn healthy(wf: Workflow) -> Result<()> {
    wf.sleep(Duration::from_secs(1)).await?;
    Ok(())
}

fn worker() -> Worker {
    Worker::new("q")
        .workflow(blocks_once)
        .workflow(blocks_often)
        .workflow(blocks_briefly)
        .workflow(comes_back)
        .workflow(drops_slowly)
        .workflow(never_ends)
        .workflow(healthy)
}

fn hosted() -> Hosted {
    Hosted::new(worker())
}

impl Hosted {
    fn task(&self, task: WorkflowTask) {
        self.to.send(ToWorker::WorkflowTask(task)).unwrap();
    }

    /// Returns the run that is answered next, and why if its task failed.
    async fn ended(&mut self) -> (u128, Option<(Cause, String)>) {
        match self.answer().await {
            FromWorker::WorkflowTask {
                token,
                answer: WorkflowTaskAnswer::Completed { .. },
            } => (token.run_id.0.as_u128(), None),
            FromWorker::WorkflowTask {
                token,
                answer: WorkflowTaskAnswer::Failed { cause, failure },
            } => (token.run_id.0.as_u128(), Some((cause, failure.message))),
            other => panic!("{other:?}"),
        }
    }

    async fn failed(&mut self) -> (u128, String) {
        match self.ended().await {
            (run, Some((Cause::WorkflowWorkerUnhandledFailure, message))) => (run, message),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn code_that_blocks_costs_its_own_run_and_not_the_others() {
    let mut hosted = hosted();
    hosted.task(first_task("healthy", 1));
    assert_eq!(hosted.ended().await, (1, None));
    hosted.task(first_task("blocks_once", 2));
    hosted.task(first_task("healthy", 3));
    let (run, message) = hosted.failed().await;
    assert_eq!(run, 2);
    assert!(message.contains("it loops or blocks"), "{message}");
    assert_eq!(hosted.ended().await, (3, None));

    // While its code is still there, the run's next attempt does not take another thread.
    hosted.task(first_task("blocks_once", 2));
    let (run, message) = hosted.failed().await;
    assert_eq!(run, 2);
    assert!(message.contains("still keeps the thread"), "{message}");

    // The thread that is gone had the code of this run.
    let mut further = first_task("healthy", 1);
    further.events = further.events.split_off(2);
    hosted.task(further);
    let (run, why) = hosted.ended().await;
    assert_eq!((run, why.unwrap().0), (1, Cause::ResetStickyTaskQueue));

    ONE.open();
    loop {
        hosted.task(first_task("blocks_once", 2));
        match hosted.ended().await {
            (2, None) => break,
            (2, Some(_)) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn code_that_comes_back_the_moment_it_is_found_is_not_kept_for_ever() {
    let (sender, ended) = mpsc::channel();
    *LAST_BREATH.lock().unwrap() = Some(sender);
    let ended = Mutex::new(ended);
    // The first thing that anybody hears of it; by then the thread may have come back, and gone.
    let _log = OnLog::set(move |level, _| {
        if level == tracing::Level::ERROR {
            COMING.open();
            assert!(ended.lock().unwrap().recv().is_err());
        }
    });
    let mut hosted = hosted();
    hosted.task(first_task("comes_back", 1));
    let (run, message) = hosted.failed().await;
    assert_eq!(run, 1);
    assert!(message.contains("it loops or blocks"), "{message}");
    hosted.task(first_task("comes_back", 1));
    assert_eq!(hosted.ended().await, (1, None));
}

#[tokio::test]
async fn a_destructor_that_blocks_costs_its_own_run_and_not_the_others() {
    let mut hosted = hosted();
    hosted.task(first_task("drops_slowly", 1));
    assert_eq!(hosted.ended().await, (1, None));
    let evicted = first_task("", 1).token.run_id;
    hosted.to.send(ToWorker::Evict(evicted)).unwrap();
    hosted.task(first_task("healthy", 2));
    assert_eq!(hosted.ended().await, (2, None));
    hosted.task(first_task("drops_slowly", 1));
    let (run, message) = hosted.failed().await;
    assert_eq!(run, 1);
    assert!(message.contains("still keeps the thread"), "{message}");
    DROPPING.open();
}

#[tokio::test]
async fn a_worker_that_leaves_names_the_workflow_code_that_it_gives_up() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let _log = OnLog::set(move |_, line| lines.lock().unwrap().push(line));
    let (leave, told) = oneshot::channel::<()>();
    let worker = worker().drain_timeout(Duration::ZERO);
    let hosted = Hosted::until(worker, async move { told.await.unwrap() });
    hosted.task(first_task("never_ends", 1));
    LEAVING.somebody_came().await;
    leave.send(()).unwrap();
    hosted.running.await.unwrap();
    LEAVING.open();
    let log = log.lock().unwrap();
    let given_up = "given up after the drain timeout: `never_ends` of workflow w1";
    assert!(log.iter().any(|line| line == given_up), "{log:?}");
}

#[tokio::test]
async fn the_threads_that_code_may_keep_are_bounded() {
    let mut hosted = hosted();
    let most = u128::try_from(worker::KEPT_THREADS_MAX).unwrap();
    for run in 1..=most + 2 {
        hosted.task(first_task("blocks_often", run));
    }
    for expected in 1..=most {
        let (run, message) = hosted.failed().await;
        assert_eq!(run, expected);
        assert!(message.contains("it loops or blocks. Move"), "{message}");
    }
    for expected in most + 1..=most + 2 {
        let (run, message) = hosted.failed().await;
        assert_eq!(run, expected);
        assert!(
            message.contains("is not run until one comes back"),
            "{message}"
        );
    }
    let before = Instant::now();
    hosted.task(first_task("healthy", 100));
    assert_eq!(hosted.ended().await, (100, None));
    assert!(
        before.elapsed() < worker::POLL_MAX,
        "it waited for the code that blocks"
    );
    SEVERAL.open();
}

#[tokio::test]
async fn tasks_whose_time_is_over_or_whose_run_is_evicted_do_not_run() {
    let mut hosted = hosted();
    hosted.task(first_task("blocks_briefly", 1));
    BRIEF.somebody_came().await;
    let mut late = first_task("blocks_briefly", 2);
    late.start_to_close_timeout = Millis(1);
    hosted.task(late);
    hosted.task(first_task("blocks_briefly", 3));
    hosted
        .to
        .send(ToWorker::Evict(first_task("", 3).token.run_id))
        .unwrap();
    hosted.task(first_task("healthy", 4));
    let sent = Instant::now();
    while sent.elapsed() < Duration::from_millis(20) {
        tokio::task::yield_now().await;
    }
    BRIEF.open();
    assert_eq!(hosted.ended().await, (1, None));
    for expected in [2, 3] {
        let (run, why) = hosted.ended().await;
        assert_eq!(
            (run, why.unwrap().0),
            (expected, Cause::ResetStickyTaskQueue)
        );
    }
    assert_eq!(hosted.ended().await, (4, None));
    assert_eq!(BRIEF.came.load(Ordering::Relaxed), 1);
}
