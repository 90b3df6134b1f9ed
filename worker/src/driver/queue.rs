//! What waits for a workflow thread: tasks, and runs to be forgotten. An eviction reaches the tasks that wait.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use history::{RunId, task::WorkflowTask};

/// A task that waits for its thread.
pub(super) struct Waiting {
    pub(super) task: WorkflowTask,
    came_at: Instant,
    evicted: bool,
}

impl Waiting {
    /// Says whether nobody wants its answer any more: its run was evicted since it came, or its time is over.
    pub(super) fn is_stale(&self) -> bool {
        let timeout = self.task.start_to_close_timeout.non_zero();
        self.evicted || timeout.is_some_and(|most| self.came_at.elapsed() >= Duration::from(most))
    }
}

/// What a thread does next.
pub(super) enum Next {
    Work(Waiting),
    Forget(RunId),
}

/// What waits for the thread of a lane, and where that thread sleeps.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Waiting>,
    evictions: VecDeque<RunId>,
    closed: bool,
    /// The thread sleeps: whoever brings something wakes it.
    asleep: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring(&self, bring: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        bring(&mut state);
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.came.notify_one();
        }
        true
    }

    /// Lets a task wait; says whether a thread will come to it.
    pub(super) fn task(&self, task: WorkflowTask) -> bool {
        self.wait(Waiting {
            task,
            came_at: Instant::now(),
            evicted: false,
        })
    }

    /// Lets a task wait here that has waited elsewhere.
    pub(super) fn wait(&self, waiting: Waiting) -> bool {
        self.bring(|state| state.tasks.push_back(waiting))
    }

    /// Has a run forgotten, and its tasks that wait now dropped.
    pub(super) fn evict(&self, run_id: RunId) -> bool {
        self.bring(|state| {
            for waiting in &mut state.tasks {
                waiting.evicted |= waiting.task.token.run_id == run_id;
            }
            state.evictions.push_back(run_id);
        })
    }

    /// Takes nothing more; the thread ends when it has worked off what waits.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.came.notify_all();
    }

    /// Takes nothing more and drops what waits, because nobody is there to be answered.
    pub(super) fn abandon(&self) {
        self.state().tasks.clear();
        self.close();
    }

    /// Waits for something to do; nothing when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Next> {
        let mut state = self.state();
        loop {
            // Tasks that came before an eviction know of it, those that came after are not meant: it may go first.
            if let Some(run_id) = state.evictions.pop_front() {
                return Some(Next::Forget(run_id));
            }
            if let Some(waiting) = state.tasks.pop_front() {
                return Some(Next::Work(waiting));
            }
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self
                .came
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
