//! What is run while something grows.

use std::sync::{Mutex, PoisonError};

use coreason::prelude::*;
use history::{TaskQueue, decide::StartWorkflow};
use tokio::time::Instant;

use crate::{own, workflows};

/// When each step of [`long()`] was, and how late each sleeper woke.
pub(super) static STEPS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
pub(super) static LATE_MILLIS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// How often each attempt of [`beats()`] tells of itself, and how often [`fails()`] fails.
pub(super) const BEATS: u32 = 200;
pub(super) const FAILURES: u32 = 50;

/// Returns what was noted so far and forgets it.
pub(super) fn noted<T>(notes: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner))
}

fn note<T>(notes: &Mutex<Vec<T>>, what: T) {
    notes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(what);
}

#[activity]
async fn step(n: u32) -> Result<u32> {
    note(&STEPS, Instant::now());
    Ok(n + 1)
}

#[activity]
async fn woke(due_millis: u64) -> Result<()> {
    note(&LATE_MILLIS, now_millis().saturating_sub(due_millis));
    Ok(())
}

#[activity]
async fn takes_its_time(n: u32) -> Result<u32> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(n)
}

#[activity(heartbeat = "10s")]
async fn beats(ctx: &ActivityContext, n: u32) -> Result<u32> {
    for beat in 0..BEATS {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ctx.heartbeat(&beat);
    }
    Ok(n)
}

#[activity(retry(initial = "20ms", backoff = 1.0))]
async fn fails(ctx: &ActivityContext, n: u32) -> Result<u32> {
    if ctx.attempt() <= FAILURES {
        return Err(Error::new("not yet"));
    }
    Ok(n)
}

/// So many steps, then a wait for a signal.
#[workflow]
async fn long(wf: Workflow, steps: u32) -> Result<u32> {
    let mut n = 0;
    while n < steps {
        n = wf.call(step, n).await?;
    }
    wf.signals_named::<()>("go").recv().await?;
    Ok(n)
}

/// So many activities at once.
#[workflow]
async fn fan(wf: Workflow, width: u32) -> Result<usize> {
    let done = try_join_all((0..width).map(|n| wf.call(step, n))).await?;
    Ok(done.len())
}

/// The same of those that take two seconds.
#[workflow]
async fn seconds(wf: Workflow, width: u32) -> Result<usize> {
    let done = try_join_all((0..width).map(|n| wf.call(takes_its_time, n))).await?;
    Ok(done.len())
}

/// The same of those that tell of themselves.
#[workflow]
async fn beating(wf: Workflow, width: u32) -> Result<usize> {
    let done = try_join_all((0..width).map(|n| wf.call(beats, n))).await?;
    Ok(done.len())
}

/// The same of those that fail at first.
#[workflow]
async fn failing(wf: Workflow, width: u32) -> Result<usize> {
    let done = try_join_all((0..width).map(|n| wf.call(fails, n))).await?;
    Ok(done.len())
}

/// So many children at once.
#[workflow]
async fn brood(wf: Workflow, width: u32) -> Result<usize> {
    let done = try_join_all((0..width).map(|n| wf.child(nothing, n))).await?;
    Ok(done.len())
}

#[workflow]
async fn nothing(wf: Workflow, input: u32) -> Result<u32> {
    let _ = wf;
    Ok(input)
}

/// Sleeps so many seconds and says how late it woke.
#[workflow]
async fn nap(wf: Workflow, seconds: u32) -> Result<()> {
    let pause = Duration::from_secs(u64::from(seconds));
    let due = wf.now() + pause;
    wf.sleep(pause).await?;
    let due = due.duration_since(std::time::UNIX_EPOCH)?.as_millis();
    wf.call(woke, u64::try_from(due)?).await
}

/// Sleeps until a second since the Unix epoch.
#[workflow]
async fn alarm(wf: Workflow, second: u32) -> Result<()> {
    let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(second));
    wf.sleep(at.duration_since(wf.now())?).await?;
    Ok(())
}

fn now_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Returns the bench's worker, which also runs these, on a queue.
pub(super) fn worker(queue: &str) -> Worker {
    workflows::worker_on(queue)
        .workflow(long)
        .workflow(fan)
        .workflow(seconds)
        .workflow(beating)
        .workflow(failing)
        .workflow(brood)
        .workflow(nothing)
        .workflow(nap)
        .workflow(alarm)
        .activity(step)
        .activity(woke)
        .activity(takes_its_time)
        .activity(beats)
        .activity(fails)
        .cached_runs(2000)
}

/// Returns the start of one of them.
pub(super) fn start(workflow: &str, input: usize, queue: &str) -> StartWorkflow {
    StartWorkflow {
        task_queue: TaskQueue::known(queue),
        ..own::start(workflow, u32::try_from(input).unwrap_or(u32::MAX))
    }
}
