//! The lanes of a worker, and which runs and workflows keep their threads.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use history::{
    RunId, WorkflowType,
    task::{Answers, WorkflowTask},
};
use tokio::sync::Notify;

use super::{
    lane::{KEPT_THREADS_MAX, Lane},
    task_failure::TaskFailure,
};

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

/// One lane for all runs, and one for the workflows whose code has kept that one's thread.
pub(super) struct Lanes {
    pub(super) answers: Answers,
    pub(super) fast: Arc<Lane>,
    pub(super) slow: Arc<Lane>,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// The workflows whose code has kept a thread. With the first one the slow lane begins.
    pub(super) slow: HashSet<WorkflowType>,
    /// The runs whose code keeps a thread, and since when.
    pub(super) kept: HashMap<RunId, Instant>,
    /// The lanes that have a thread.
    pub(super) served: usize,
}

impl Lanes {
    /// Returns lanes of which the fast one is to have a thread.
    pub(super) fn new(answers: Answers) -> Self {
        let state = State {
            served: 1,
            ..State::default()
        };
        Self {
            answers,
            fast: Arc::default(),
            slow: Arc::default(),
            state: Mutex::new(state),
            ended: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lane(&self, speed: Speed) -> &Arc<Lane> {
        match speed {
            Speed::Fast => &self.fast,
            Speed::Slow => &self.slow,
        }
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
