//! A queue of workflow tasks and the thread that serves it, which another one replaces when workflow code keeps it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use history::{RunId, WorkflowId, WorkflowType, task::WorkflowTaskToken};

use super::queue::Queue;

/// The most time that workflow code may keep its thread, from one wait to the next. Temporal: the deadlock detector's second.
pub const POLL_MAX: Duration = Duration::from_secs(1);
/// Code of slow workflows begins only while fewer threads than this are kept by code that loops or blocks. With the one
/// that each workflow may take from the other runs before it counts as slow, that is all that a worker loses.
pub const KEPT_THREADS_MAX: usize = 4;

/// How often threads are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// In so many looks in a row the same code must be under way.
const LOOKS: u32 = 3;
/// Looks further apart than this are not in a row: a process that was frozen, or starved, ran no code between them either.
const LOOK_GAP_MAX: Duration = Duration::from_secs(1);

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
    busy: Option<Busy>,
    seen: Option<Seen>,
}

/// Code under way.
pub(super) struct Busy {
    pub(super) workflow_type: WorkflowType,
    pub(super) doing: Doing,
}

/// What code is under way for.
pub(super) enum Doing {
    /// A task. Whoever takes the token out answers.
    Task(WorkflowTaskToken),
    /// The end of a run that leaves the cache: its destructors run.
    Drop {
        workflow_id: WorkflowId,
        run_id: RunId,
    },
}

impl Busy {
    pub(super) fn workflow_id(&self) -> &WorkflowId {
        match &self.doing {
            Doing::Task(token) => &token.workflow_id,
            Doing::Drop { workflow_id, .. } => workflow_id,
        }
    }

    pub(super) fn run_id(&self) -> RunId {
        match &self.doing {
            Doing::Task(token) => token.run_id,
            Doing::Drop { run_id, .. } => *run_id,
        }
    }
}

/// What was seen of the thread, as long as it did not go on.
struct Seen {
    count: u64,
    times: u32,
    since: Instant,
    last: Instant,
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

    /// Takes note of the code that the thread begins with.
    pub(super) fn work(&self, busy: Busy) {
        self.serving().busy = Some(busy);
    }

    /// Takes note that code is done; returns it if the lane is still this thread's.
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

    /// Names the run whose code is under way.
    pub(super) fn busy_with(&self) -> Option<String> {
        let serving = self.serving();
        let busy = serving.busy.as_ref()?;
        Some(format!(
            "`{}` of workflow {}",
            busy.workflow_type,
            busy.workflow_id()
        ))
    }

    /// Looks at the thread. Takes the lane from it, and returns what it does, if code has kept it for too long. `note` is told
    /// before the thread can find out.
    pub(super) fn look(&self, now: Instant, note: impl FnOnce(&Busy)) -> Option<Busy> {
        let mut serving = self.serving();
        if serving.busy.is_none() {
            serving.seen = None;
            return None;
        }
        let count = serving.pulse.count();
        match &mut serving.seen {
            Some(seen) if seen.count == count && now.duration_since(seen.last) <= LOOK_GAP_MAX => {
                seen.times += 1;
                seen.last = now;
                if seen.times < LOOKS || now.duration_since(seen.since) < POLL_MAX {
                    return None;
                }
            }
            seen => {
                *seen = Some(Seen {
                    count,
                    times: 1,
                    since: now,
                    last: now,
                });
                return None;
            }
        }
        let busy = serving.busy.take()?;
        note(&busy);
        // It finds that the lane is not its own any more when it comes back.
        serving.thread.0 += 1;
        Some(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Busy {
        Busy {
            workflow_type: WorkflowType::known("blocks"),
            doing: Doing::Drop {
                workflow_id: WorkflowId::known("w"),
                run_id: RunId(uuid::Uuid::from_u128(1)),
            },
        }
    }

    #[test]
    fn a_freeze_between_two_looks_is_no_time_that_code_took() {
        let lane = Lane::default();
        let (thread, _pulse) = lane.begin();
        lane.work(busy());
        let start = Instant::now();
        let took = |millis| {
            lane.look(start + Duration::from_millis(millis), |_| {})
                .is_some()
        };
        assert!(!took(0));
        assert!(!took(500));
        // It was frozen for a minute, and looks first of all.
        assert!(!took(60_500));
        assert!(!took(61_000));
        assert!(took(61_500));
        assert!(lane.done(thread).is_none());
    }
}
