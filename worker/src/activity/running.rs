//! One attempt while it runs.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use futures::task::AtomicWaker;
use history::{
    EventId, Failure, Payloads, RunId,
    task::{ActivityTask, ActivityTaskToken, FromWorker},
};
use tokio::sync::Notify;

use super::{Host, heartbeat::Throttle};
use crate::panics::{self, Panic};

/// Names an attempt among those of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    run_id: RunId,
    scheduled_event_id: EventId,
    attempt: u32,
}

impl Key {
    pub(crate) fn of(token: &ActivityTaskToken) -> Self {
        Self {
            run_id: token.run_id,
            scheduled_event_id: token.scheduled_event_id,
            attempt: token.attempt,
        }
    }
}

/// An attempt that runs, shared by its code, its context and those who cancel it.
pub(crate) struct Running {
    pub(super) task: Box<ActivityTask>,
    pub(super) host: Arc<Host>,
    pub(super) received_at: Instant,
    pub(super) heartbeats: Throttle,
    cancelled: AtomicBool,
    /// Wakes code that waits for its cancellation.
    pub(super) cancellation: Notify,
    /// Wakes whoever drops code that can't see its cancellation.
    supervisor: AtomicWaker,
}

impl Running {
    pub(super) fn new(task: Box<ActivityTask>, host: Arc<Host>) -> Self {
        Self {
            received_at: Instant::now(),
            heartbeats: Throttle::new(task.heartbeat_timeout),
            task,
            host,
            cancelled: AtomicBool::new(false),
            cancellation: Notify::new(),
            supervisor: AtomicWaker::new(),
        }
    }

    pub(super) fn request_cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.cancellation.notify_waiters();
        self.supervisor.wake();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn complete(&self, result: Payloads) {
        self.answer(|token| FromWorker::ActivityTaskCompleted { token, result });
    }

    /// Answers that the attempt failed; the next one finds the last heartbeat's details.
    pub(super) fn fail(&self, failure: Box<Failure>) {
        self.heartbeats.flush(self);
        self.answer(|token| FromWorker::ActivityTaskFailed { token, failure });
    }

    pub(super) fn cancel(&self, details: Payloads) {
        self.answer(|token| FromWorker::ActivityTaskCanceled { token, details });
    }

    /// Sends the first answer of the attempt; later ones are nobody's.
    fn answer(&self, answer: impl FnOnce(ActivityTaskToken) -> FromWorker) {
        if self.host.forget(Key::of(&self.task.token)) {
            self.host.send(answer(self.task.token.clone()));
        }
    }
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
            if self.running.is_cancelled() {
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
