//! One attempt while it runs.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use history::{
    Failure, Payloads,
    task::{ActivityTask, ActivityTaskAnswer, FromWorker},
};
use tokio::sync::Notify;

use super::{
    cancel_reason::CancelReason,
    heartbeat::Heartbeats,
    home::{Home, Key},
};
use crate::{
    error::application,
    panics::{self, Panic},
};

/// What an attempt has been told; each says more than the one before.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Told {
    /// That the worker leaves.
    Leaving = 1,
    /// That it is canceled.
    Canceled = 2,
    /// Nothing any more: it was answered for.
    GivenUp = 3,
}

/// An attempt that runs, shared by its code, its context and those who cancel it.
pub(crate) struct Running {
    pub(super) task: Box<ActivityTask>,
    pub(super) home: Arc<Home<Self>>,
    pub(super) received_at: Instant,
    /// Made with the first of them: most attempts send none.
    heartbeats: OnceLock<Arc<Heartbeats>>,
    told: AtomicU8,
    /// When it was canceled: it keeps a slot that nobody has anything of.
    canceled_at: OnceLock<Instant>,
    /// The log has named it since.
    named: AtomicBool,
    /// Wakes code that waits for its cancellation.
    pub(super) cancellation: Notify,
    /// Wakes whoever drops code that can't see its cancellation.
    supervisor: AtomicWaker,
}

impl Running {
    pub(super) fn new(task: Box<ActivityTask>, home: Arc<Home<Self>>) -> Self {
        Self {
            received_at: Instant::now(),
            heartbeats: OnceLock::new(),
            task,
            home,
            told: AtomicU8::new(0),
            canceled_at: OnceLock::new(),
            named: AtomicBool::new(false),
            cancellation: Notify::new(),
            supervisor: AtomicWaker::new(),
        }
    }

    pub(super) fn tell(&self, told: Told) {
        if matches!(told, Told::Canceled) {
            self.canceled_at.get_or_init(Instant::now);
        }
        self.told.fetch_max(told as u8, Ordering::AcqRel);
        self.cancellation.notify_waiters();
        self.supervisor.wake();
    }

    /// Says whether it was canceled so long before this moment.
    pub(super) fn is_overdue(&self, now: Instant, after: Duration) -> bool {
        let canceled_at = self.canceled_at.get();
        canceled_at.is_some_and(|at| now.saturating_duration_since(*at) >= after)
    }

    /// Says whether the log has named it as overdue.
    pub(super) fn is_named(&self) -> bool {
        self.named.load(Ordering::Relaxed)
    }

    pub(super) fn note_named(&self) {
        self.named.store(true, Ordering::Relaxed);
    }

    /// Says why its code is to stop, if it is.
    pub(super) fn cancel_reason(&self) -> Option<CancelReason> {
        match self.told.load(Ordering::Acquire) {
            0 => None,
            told if told == Told::Canceled as u8 => Some(CancelReason::Requested),
            _ => Some(CancelReason::WorkerShutdown),
        }
    }

    /// Says whether code that can't see its cancellation is dropped. When the worker leaves, it may still finish.
    fn is_dropped(&self) -> bool {
        self.told.load(Ordering::Acquire) >= Told::Canceled as u8
    }

    /// Sends a heartbeat when its time has come.
    pub(super) fn beat(&self, details: Payloads) {
        let heartbeats = self.heartbeats.get_or_init(|| {
            let (runtime, answers) = (self.home.runtime.clone(), self.home.answers.clone());
            Heartbeats::new(&self.task, runtime, answers)
        });
        heartbeats.beat(details);
    }

    /// Sends what was said in a heartbeat that waits for its time.
    pub(super) fn flush_heartbeats(&self) {
        if let Some(heartbeats) = self.heartbeats.get() {
            heartbeats.flush();
        }
    }

    /// Says whether its retry policy allows no attempt after this one.
    pub(super) fn is_last(&self) -> bool {
        let most = self.task.retry_policy.maximum_attempts;
        most != 0 && self.task.token.attempt >= most
    }

    pub(super) fn complete(&self, result: Payloads) {
        self.answer(|| ActivityTaskAnswer::Completed { result });
    }

    /// Answers that the attempt failed; the next one finds the last heartbeat's details.
    pub(super) fn fail(&self, failure: Box<Failure>) {
        self.flush_heartbeats();
        self.answer(|| {
            failed(&self.task, &failure);
            ActivityTaskAnswer::Failed { failure }
        });
    }

    pub(super) fn cancel(&self, details: Payloads) {
        self.answer(|| ActivityTaskAnswer::Canceled { details });
    }

    /// Sends the first answer of the attempt; later ones are nobody's.
    fn answer(&self, answer: impl FnOnce() -> ActivityTaskAnswer) {
        if self.home.forget(Key::of(&self.task.token)) {
            self.home.answers.send(FromWorker::ActivityTask {
                token: self.task.token.clone(),
                answer: answer(),
            });
        }
    }
}

/// Logs a failed attempt. An activity may wait for something by failing, for years: from the fourth attempt on only every
/// second, fourth, eighth … is worth a warning.
pub(super) fn failed(task: &ActivityTask, failure: &Failure) {
    let token = &task.token;
    let attempt = token.attempt;
    if attempt <= 3 || attempt.is_power_of_two() {
        tracing::warn!(
            workflow_id = %token.workflow_id, run_id = %token.run_id, activity_type = %task.activity_type,
            activity_id = %task.activity_id, attempt, reason = failure.line(), "an attempt of an activity failed"
        );
    } else {
        tracing::debug!(
            workflow_id = %token.workflow_id, run_id = %token.run_id, activity_type = %task.activity_type,
            activity_id = %task.activity_id, attempt, reason = failure.line(), "an attempt of an activity failed"
        );
    }
}

/// Returns the failure of an attempt that did not end before its worker left.
pub(super) fn left() -> Failure {
    application(
        "the worker left before the activity ended".to_owned(),
        "WorkerShutdown".to_owned(),
    )
}

/// Polls an activity's code, catches its panics, and drops it when it is canceled if it can't see that itself.
pub(super) struct Supervised<'a, F> {
    running: &'a Running,
    drops: bool,
    future: Pin<&'a mut F>,
}

impl<'a, F> Supervised<'a, F> {
    pub(super) fn new(running: &'a Running, drops: bool, future: Pin<&'a mut F>) -> Self {
        Self {
            running,
            drops,
            future,
        }
    }
}

impl<F: Future> Future for Supervised<'_, F> {
    /// Nothing when it was canceled.
    type Output = Option<Result<F::Output, Panic>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.drops {
            self.running.supervisor.register(context.waker());
            if self.running.is_dropped() {
                return Poll::Ready(None);
            }
        }
        let future = self.future.as_mut();
        match panics::catch(|_| false, || future.poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Some(Ok(output))),
            Err(panic) => Poll::Ready(Some(Err(panic))),
        }
    }
}
