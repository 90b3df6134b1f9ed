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
    lane::{Busy, Lane},
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
        threads.start(Speed::Fast)?;
        threads.state().served = 1;
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

    fn start(self: &Arc<Self>, speed: Speed) -> io::Result<()> {
        turns::spawn(Duty {
            speed,
            lane: self.lane(speed).clone(),
            slow_lane: self.slow.clone(),
            slow: self.state().slow.clone(),
            workflows: self.workflows.clone(),
            cached_runs: self.cached_runs,
            threads: Arc::downgrade(self),
        })
    }

    /// Looks whether workflow code keeps a thread; then another one takes over.
    pub(super) fn look(self: &Arc<Self>, now: Instant) {
        for speed in [Speed::Fast, Speed::Slow] {
            if let Some(kept) = self.lane(speed).look(now)
                && let Err(error) = self.replace(speed, kept, now)
            {
                tracing::error!(%error, "no thread can take over; the worker leaves its engine");
                self.close();
            }
        }
    }

    fn replace(self: &Arc<Self>, speed: Speed, kept: Busy, now: Instant) -> io::Result<()> {
        let Busy {
            token,
            workflow_type,
        } = kept;
        tracing::error!(
            workflow_id = %token.workflow_id, run_id = %token.run_id, %workflow_type,
            "workflow code has kept its thread for over a second without waiting: it loops or blocks. Its workflow task \
             fails, the other runs go on on another thread. Move long work and blocking calls into an activity"
        );
        let first = {
            let mut state = self.state();
            state.kept.insert(token.run_id, now);
            state.slow.insert(workflow_type);
            speed == Speed::Fast && state.slow.len() == 1
        };
        self.answers.send(TaskFailure::blocks().of(token));
        if first {
            self.state().served += 1;
            self.start(Speed::Slow)?;
        }
        self.start(speed)
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
        if let Some(since) = self.state().kept.remove(&run_id) {
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
