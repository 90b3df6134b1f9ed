//! The threads for workflow code: one for all runs, one for the workflows whose code has kept that one, and those that
//! such code still keeps. Rust can't stop a thread, so their number is bounded.

use std::{io, sync::Arc, time::Instant};

use history::task::Answers;

use super::{
    lane::{Busy, Doing},
    lanes::{Lanes, Speed},
    queue::Queue,
    run::Workflows,
    task_failure::TaskFailure,
    turns::{self, Duty},
};

/// The threads of a worker.
pub(super) struct Threads {
    pub(super) lanes: Arc<Lanes>,
    workflows: Arc<Workflows>,
    cached_runs: usize,
}

impl Threads {
    pub(super) fn spawn(
        workflows: Workflows,
        cached_runs: usize,
        answers: Answers,
    ) -> io::Result<Self> {
        let threads = Self {
            lanes: Arc::new(Lanes::new(answers)),
            workflows: Arc::new(workflows),
            cached_runs,
        };
        threads.start(Speed::Fast)?;
        Ok(threads)
    }

    /// Returns where workflow tasks come in.
    pub(super) fn queue(&self) -> Arc<Queue> {
        self.lanes.fast.queue.clone()
    }

    /// Starts a thread for a lane that counts as served; if there is none to have, it does not any more.
    fn start(&self, speed: Speed) -> io::Result<()> {
        let lanes = &self.lanes;
        let slow = lanes.state().slow.clone();
        let started = turns::spawn(Duty {
            speed,
            lane: lanes.lane(speed).clone(),
            slow_lane: lanes.slow.clone(),
            slow,
            workflows: self.workflows.clone(),
            cached_runs: self.cached_runs,
            lanes: Arc::downgrade(lanes),
        });
        started.inspect_err(|_| lanes.left(speed))
    }

    /// Looks whether workflow code keeps a thread; then another one takes over.
    pub(super) fn look(&self, now: Instant) {
        for speed in [Speed::Fast, Speed::Slow] {
            // Code that comes back the moment after has to find itself among those that are kept.
            let kept = self.lanes.lane(speed).look(now, |busy| {
                self.lanes.state().kept.insert(busy.run_id(), now);
            });
            if let Some(kept) = kept
                && let Err(error) = self.replace(speed, kept)
            {
                tracing::error!(%error, "no thread can take over; the worker leaves its engine");
                self.lanes.close();
            }
        }
    }

    fn replace(&self, speed: Speed, kept: Busy) -> io::Result<()> {
        let (workflow_id, run_id) = (kept.workflow_id().clone(), kept.run_id());
        let Busy {
            workflow_type,
            doing,
        } = kept;
        let first = {
            let mut state = self.lanes.state();
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
                self.lanes.answers.send(TaskFailure::blocks().of(token));
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
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.lanes.fast.queue.abandon();
        self.lanes.slow.queue.abandon();
    }
}
