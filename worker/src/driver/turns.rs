//! A thread that runs workflow code, and the runs that it keeps between their tasks.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Weak},
    thread,
};

use history::{
    EventId, RunId, WorkflowType,
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{FromWorker, WorkflowTask, WorkflowTaskAnswer},
};

use super::{
    cache::Cache,
    lane::{Busy, Doing, Lane, Pulse, ThreadId},
    lanes::{Lanes, Speed},
    queue::{Next, Waiting},
    run::{Progress, Run, Workflows},
    task_failure::TaskFailure,
};
use crate::panics::{self, panic_failure};

/// The stack of a thread for workflow code: that of a main thread, for deep code.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What a thread is there for.
pub(super) struct Duty {
    pub(super) speed: Speed,
    pub(super) lane: Arc<Lane>,
    /// Where the tasks of slow workflows go.
    pub(super) slow_lane: Arc<Lane>,
    /// The workflows whose code has kept a thread.
    pub(super) slow: HashSet<WorkflowType>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) cached_runs: usize,
    /// Code that never comes back must not keep the worker connected.
    pub(super) lanes: Weak<Lanes>,
}

/// Starts a thread that serves the lane from now on.
pub(super) fn spawn(duty: Duty) -> io::Result<()> {
    let (thread, pulse) = duty.lane.begin();
    thread::Builder::new()
        .name(duty.speed.thread_name().to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // Made here, as workflow code never leaves its thread.
            let mut turns = Turns {
                cache: Cache::new(duty.cached_runs),
                duty,
                thread,
                pulse,
            };
            while let Some(next) = turns.duty.lane.queue.next()
                && turns.take(next)
            {}
            turns.forget_all();
        })?;
    Ok(())
}

struct Turns {
    duty: Duty,
    thread: ThreadId,
    pulse: Arc<Pulse>,
    /// With the folding that they are of: several owners may send tasks of one run, one after the other.
    cache: Cache<(u64, Run)>,
}

impl Turns {
    /// Does what is next; says whether the lane is still this thread's.
    fn take(&mut self, next: Next) -> bool {
        match next {
            Next::Forget(run_id) => {
                if self.duty.speed == Speed::Fast && !self.duty.slow.is_empty() {
                    self.duty.slow_lane.queue.evict(run_id);
                }
                let cached = self.cache.take(run_id);
                return cached.is_none_or(|(_, run)| self.forget(run));
            }
            Next::Work(waiting) if waiting.is_stale() => {
                self.answer(TaskFailure::stale().of(waiting.task.token));
            }
            Next::Work(waiting) if self.belongs_elsewhere(&waiting) => {
                // Closed, it belongs to a worker that leaves.
                self.duty.slow_lane.queue.wait(waiting);
            }
            Next::Work(waiting) => return self.work(waiting.task),
        }
        true
    }

    fn belongs_elsewhere(&self, waiting: &Waiting) -> bool {
        self.duty.speed == Speed::Fast
            && !self.duty.slow.is_empty()
            && self.duty.slow.contains(&waiting.task.workflow_type)
    }

    fn answer(&self, answer: FromWorker) {
        // An engine that is gone hands the task to another worker, and so does that of a worker that has left.
        if let Some(lanes) = self.duty.lanes.upgrade() {
            lanes.answers.send(answer);
        }
    }

    fn work(&mut self, task: WorkflowTask) -> bool {
        if self.duty.speed == Speed::Slow
            && let Some(lanes) = self.duty.lanes.upgrade()
            && let Err(refusal) = lanes.admit(&task)
        {
            self.answer(refusal.of(task.token));
            return true;
        }
        let WorkflowTask {
            token,
            workflow_type,
            events,
            ..
        } = task;
        let (run_id, incarnation) = (token.run_id, token.incarnation);
        let cached = self.cache.take(run_id);
        let whole = events.first().filter(|first| first.id == EventId::FIRST);
        let new = whole.map(|first| {
            let entry = self.duty.workflows.get(workflow_type.as_str()).copied();
            let entry = entry.ok_or_else(|| self.unknown(&workflow_type));
            (entry, token.namespace.clone(), first.clone())
        });
        self.pulse.beat();
        self.duty.lane.work(Busy {
            workflow_type,
            doing: Doing::Task(token),
        });
        // User code is guarded where it runs; this guard is for the driver itself.
        let outcome = panics::catch(
            |_| false,
            || {
                let mut run = match new {
                    Some((entry, namespace, first)) => {
                        drop(cached);
                        Run::begin(entry?, namespace, run_id, first)?
                    }
                    None => cached
                        .filter(|(of, run)| *of == incarnation && run.takes(&events))
                        .map(|(_, run)| run)
                        .ok_or_else(TaskFailure::resend)?,
                };
                let progress = run.process(&events, &self.pulse)?;
                // What is closed is dropped here, where somebody looks how long that takes.
                Ok(((!progress.closed).then_some(run), progress))
            },
        )
        .unwrap_or_else(|panic| Err(TaskFailure::unhandled(Box::new(panic_failure(panic)))));
        let Some(Busy {
            workflow_type,
            doing: Doing::Task(token),
        }) = self.done(run_id)
        else {
            return false;
        };
        let mut left = None;
        let answer = match outcome {
            Ok((
                run,
                Progress {
                    commands,
                    closed,
                    unread_signals,
                },
            )) => {
                if let Some(run) = run {
                    left = self.cache.put(run_id, (incarnation, run));
                }
                FromWorker::WorkflowTask {
                    token,
                    answer: WorkflowTaskAnswer::Completed {
                        commands,
                        sdk_metadata: SdkMetadata::default(),
                        sticky: !closed && self.cache.keeps(),
                        unread_signals,
                    },
                }
            }
            Err(failure) => {
                if failure.cause != WorkflowTaskFailedCause::ResetStickyTaskQueue {
                    tracing::warn!(
                        workflow_id = %token.workflow_id, %run_id, %workflow_type, attempt = token.attempt,
                        cause = ?failure.cause, reason = failure.failure.line(), "a workflow task failed"
                    );
                }
                failure.of(token)
            }
        };
        self.answer(answer);
        left.is_none_or(|(_, run)| self.forget(run))
    }

    /// Takes note that code is done; returns it if the lane is still this thread's.
    fn done(&self, run_id: RunId) -> Option<Busy> {
        let done = self.duty.lane.done(self.thread);
        if done.is_none()
            && let Some(lanes) = self.duty.lanes.upgrade()
        {
            // It was answered for, and the lane has another thread.
            lanes.came_back(run_id);
        }
        done
    }

    /// Drops the code of a run, whose destructors may keep the thread like any code; says whether the lane is still this thread's.
    fn forget(&self, run: Run) -> bool {
        let (workflow_type, workflow_id, run_id) = run.names();
        self.pulse.beat();
        self.duty.lane.work(Busy {
            workflow_type,
            doing: Doing::Drop {
                workflow_id,
                run_id,
            },
        });
        drop(run);
        self.done(run_id).is_some()
    }

    /// Drops the code of all runs, as long as somebody waits for that.
    fn forget_all(&mut self) {
        while self.duty.lane.is_served_by(self.thread)
            && let Some((_, run)) = self.cache.take_oldest()
            && self.forget(run)
        {}
    }

    fn unknown(&self, workflow_type: &WorkflowType) -> TaskFailure {
        let mut names: Vec<&str> = self.duty.workflows.keys().copied().collect();
        names.sort_unstable();
        TaskFailure::new(
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            "WorkflowNotRegistered",
            format!(
                "this worker has no workflow `{workflow_type}`; it has {}",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        )
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        if self.duty.lane.is_served_by(self.thread)
            && let Some(lanes) = self.duty.lanes.upgrade()
        {
            lanes.left(self.duty.speed);
        }
    }
}
