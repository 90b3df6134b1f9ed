//! The threads that run workflow code: workflow tasks in, commands out.
//!
//! A thread of its own runs the workflow code of a worker, outside any async runtime, so that nothing but the engine's events
//! can make it go on. A run's code is kept between its tasks; a task that continues a run which is not kept here fails
//! with `ResetStickyTaskQueue`, and the engine sends the whole history at once.
//!
//! Code that keeps the thread for longer than [`POLL_MAX`] loses it: its task fails, and another thread serves the other
//! runs, which are built again there from their histories. From then on a second thread runs that workflow, and all that have
//! done the same.

use std::{convert::Infallible, io, time::Instant};

use history::task::{Answers, Tasks, ToWorker};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{self, MissedTickBehavior},
};

mod cache;
pub(crate) mod foreign;
mod lane;
mod lanes;
mod queue;
mod run;
mod task_failure;
mod threads;
mod turns;
mod waker;

use lane::LOOK_EVERY;
use threads::Threads;

pub use lane::{KEPT_THREADS_MAX, POLL_MAX};
pub(crate) use run::{Entry, Workflows};

/// The threads of a worker's workflow code. Dropped, it leaves them alone with what they still do.
pub(crate) struct Driver(Threads);

impl Driver {
    pub(crate) fn spawn(
        workflows: Workflows,
        cached_runs: usize,
        answers: Answers,
    ) -> io::Result<Self> {
        Threads::spawn(workflows, cached_runs, answers).map(Self)
    }

    /// Returns where an engine's messages go: workflow tasks straight to their thread, the others out of the receiver.
    pub(crate) fn tasks(&self) -> (UnboundedReceiver<ToWorker>, Tasks) {
        let (sender, receiver) = unbounded_channel();
        // The engine's end must not keep more alive than the queue.
        let queue = self.0.queue();
        let tasks = Tasks::new(move |message| match message {
            ToWorker::WorkflowTask(task) => queue.task(task),
            ToWorker::Evict(run_id) => queue.evict(run_id),
            activity => sender.send(activity).is_ok(),
        });
        (receiver, tasks)
    }

    /// Looks after the threads, for ever.
    pub(crate) async fn watch(&self) -> Infallible {
        let mut looks = time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.0.look(Instant::now());
        }
    }

    /// Names the runs whose code is under way, if there are any.
    pub(crate) fn names(&self) -> Option<String> {
        self.0.lanes.names()
    }

    /// Takes no new tasks and waits until those that have come are worked off.
    pub(crate) async fn drained(&self) {
        self.0.lanes.close();
        self.0.lanes.ended().await;
    }
}
