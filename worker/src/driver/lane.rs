//! A queue of workflow tasks and the thread that serves it, which another one replaces when workflow code keeps it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use history::{WorkflowType, task::WorkflowTaskToken};

use super::queue::Queue;

/// The most time that workflow code may keep its thread, from one wait to the next. Temporal: the deadlock detector's second.
pub const POLL_MAX: Duration = Duration::from_secs(1);
/// How often threads are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// In so many looks in a row the same code must be under way. A process that was frozen, or starved, did not look either.
const LOOKS: u32 = 3;

/// Counts what a thread does, so that whoever looks sees whether it goes on.
#[derive(Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// Goes on. Only the thread itself calls it.
    pub(super) fn beat(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Names one of the threads that have served a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ThreadId(u64);

/// One queue, served by one thread at a time.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) queue: Arc<Queue>,
    serving: Mutex<Serving>,
}

#[derive(Default)]
struct Serving {
    thread: ThreadId,
    pulse: Arc<Pulse>,
    /// The task that it works on. Whoever takes the token out answers.
    busy: Option<Busy>,
    seen: Option<Seen>,
}

/// A task under way.
pub(super) struct Busy {
    pub(super) token: WorkflowTaskToken,
    pub(super) workflow_type: WorkflowType,
}

/// What was seen of the thread, as long as it did not go on.
struct Seen {
    count: u64,
    times: u32,
    since: Instant,
}

impl Lane {
    fn serving(&self) -> MutexGuard<'_, Serving> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lane to a thread that is about to begin, and its task away that another one does not get done.
    pub(super) fn begin(&self) -> (ThreadId, Arc<Pulse>) {
        let mut serving = self.serving();
        let thread = ThreadId(serving.thread.0 + 1);
        *serving = Serving {
            thread,
            ..Serving::default()
        };
        (thread, serving.pulse.clone())
    }

    /// Takes note of the task that the thread begins.
    pub(super) fn work(&self, busy: Busy) {
        self.serving().busy = Some(busy);
    }

    /// Takes note that a task is done; returns it if it is still this thread's to answer.
    pub(super) fn done(&self, thread: ThreadId) -> Option<Busy> {
        let mut serving = self.serving();
        if serving.thread == thread {
            serving.busy.take()
        } else {
            None
        }
    }

    /// Says whether that thread still serves the lane.
    pub(super) fn is_served_by(&self, thread: ThreadId) -> bool {
        self.serving().thread == thread
    }

    /// Looks at the thread. Returns its task, and takes the lane from it, if code has kept it for too long.
    pub(super) fn look(&self, now: Instant) -> Option<Busy> {
        let mut serving = self.serving();
        if serving.busy.is_none() {
            serving.seen = None;
            return None;
        }
        let count = serving.pulse.count();
        match &mut serving.seen {
            Some(seen) if seen.count == count => {
                seen.times += 1;
                if seen.times < LOOKS || now.duration_since(seen.since) < POLL_MAX {
                    return None;
                }
            }
            seen => {
                *seen = Some(Seen {
                    count,
                    times: 1,
                    since: now,
                });
                return None;
            }
        }
        // It finds that the lane is not its own any more when it comes back.
        serving.thread.0 += 1;
        serving.busy.take()
    }
}
