//! The threads for workflow code: one for all runs, one for the workflows whose code has kept that one, and those that
//! such code still keeps. Rust can't stop a thread, so their number is bounded.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use history::{
    RunId, WorkflowType,
    task::{Answers, WorkflowTask},
};
use tokio::sync::Notify;

use super::{
    Workflows,
    lane::{Busy, Doing, Lane},
    run::TaskFailure,
    turns::{self, Duty},
};

/// Code of slow workflows begins only while fewer threads than this are kept by code that loops or blocks. With the one
/// that each workflow may take from the other runs before it counts as slow, that is all that a worker loses.
pub const KEPT_THREADS_MAX: usize = 4;

/// Which thread runs a workflow's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// The one for all.
    Fast,
    /// The one for workflows whose code has kept a thread for too long.
    Slow,
}

impl Speed {
    pub(super) fn thread_name(self) -> &'static str {
        match self {
            Self::Fast => "workflows",
            Self::Slow => "slow workflows",
        }
    }
}

/// The threads of a worker.
pub(super) struct Threads {
    pub(super) answers: Answers,
    pub(super) fast: Arc<Lane>,
    slow: Arc<Lane>,
    workflows: Arc<Workflows>,
    cached_runs: usize,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// The workflows whose code has kept a thread. With the first one the slow lane begins.
    slow: HashSet<WorkflowType>,
    /// The runs whose code keeps a thread, and since when.
    kept: HashMap<RunId, Instant>,
    /// The lanes that have a thread.
    served: usize,
}

impl Threads {
    pub(super) fn spawn(
        workflows: Workflows,
        cached_runs: usize,
        answers: Answers,
    ) -> io::Result<Arc<Self>> {
        let threads = Arc::new(Self {
            answers,
            fast: Arc::default(),
            slow: Arc::default(),
            workflows: Arc::new(workflows),
            cached_runs,
            state: Mutex::default(),
            ended: Notify::new(),
        });
        threads.state().served = 1;
        threads.start(Speed::Fast)?;
        Ok(threads)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane(&self, speed: Speed) -> &Arc<Lane> {
        match speed {
            Speed::Fast => &self.fast,
            Speed::Slow => &self.slow,
        }
    }

    /// Starts a thread for a lane that counts as served; if there is none to have, it does not any more.
    fn start(self: &Arc<Self>, speed: Speed) -> io::Result<()> {
        let slow = self.state().slow.clone();
        let started = turns::spawn(Duty {
            speed,
            lane: self.lane(speed).clone(),
            slow_lane: self.slow.clone(),
            slow,
            workflows: self.workflows.clone(),
            cached_runs: self.cached_runs,
            threads: Arc::downgrade(self),
        });
        started.inspect_err(|_| self.left(speed))
    }

    /// Looks whether workflow code keeps a thread; then another one takes over.
    pub(super) fn look(self: &Arc<Self>, now: Instant) {
        for speed in [Speed::Fast, Speed::Slow] {
            // Code that comes back the moment after has to find itself among those that are kept.
            let kept = self.lane(speed).look(now, |busy| {
                self.state().kept.insert(busy.run_id(), now);
            });
            if let Some(kept) = kept
                && let Err(error) = self.replace(speed, kept)
            {
                tracing::error!(%error, "no thread can take over; the worker leaves its engine");
                self.close();
            }
        }
    }

    fn replace(self: &Arc<Self>, speed: Speed, kept: Busy) -> io::Result<()> {
        let (workflow_id, run_id) = (kept.workflow_id().clone(), kept.run_id());
        let Busy {
            workflow_type,
            doing,
        } = kept;
        let first = {
            let mut state = self.state();
            state.slow.insert(workflow_type.clone());
            let first = speed == Speed::Fast && state.slow.len() == 1;
            state.served += usize::from(first);
            first
        };
        match doing {
            Doing::Task(token) => {
                tracing::error!(
                    %workflow_id, %run_id, %workflow_type,
                    "workflow code has not given its thread back for over a second: it loops or blocks. Its workflow task \
                     fails, the other runs go on on another thread. Move long work and blocking calls into an activity"
                );
                self.answers.send(TaskFailure::blocks().of(token));
            }
            Doing::Drop { .. } => tracing::error!(
                %workflow_id, %run_id, %workflow_type,
                "a run that left the cache has not given its thread back for over a second: what its code drops blocks in \
                 its destructor. The other runs go on on another thread"
            ),
        }
        let beside = if first {
            self.start(Speed::Slow)
        } else {
            Ok(())
        };
        self.start(speed).and(beside)
    }

    /// Names the runs whose code is under way, if there are any.
    pub(super) fn names(&self) -> Option<String> {
        let lanes = [&self.fast, &self.slow].into_iter();
        let names: Vec<String> = lanes.filter_map(|lane| lane.busy_with()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Says why the code of a slow workflow is not run now, if it is not.
    pub(super) fn admit(&self, task: &WorkflowTask) -> Result<(), TaskFailure> {
        let kept = &self.state().kept;
        if let Some(since) = kept.get(&task.token.run_id) {
            return Err(TaskFailure::still_blocks(since.elapsed()));
        }
        if kept.len() >= KEPT_THREADS_MAX {
            return Err(TaskFailure::too_many_block(&task.workflow_type));
        }
        Ok(())
    }

    /// Takes note that code which had kept its thread has returned it.
    pub(super) fn came_back(&self, run_id: RunId) {
        let kept = self.state().kept.remove(&run_id);
        if let Some(since) = kept {
            tracing::warn!(%run_id, after = ?since.elapsed(), "workflow code that had kept its thread came back");
        }
    }

    /// Takes nothing more from the engine.
    pub(super) fn close(&self) {
        self.fast.queue.close();
    }

    /// Takes note that the thread of a lane has ended. What it left to the slow lane is worked off there.
    pub(super) fn left(&self, speed: Speed) {
        self.lane(speed).queue.close();
        self.slow.queue.close();
        let mut state = self.state();
        state.served -= 1;
        if state.served == 0 {
            self.ended.notify_one();
        }
    }

    /// Waits until all is worked off, after [`close`](Self::close).
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.fast.queue.abandon();
        self.slow.queue.abandon();
    }
}
