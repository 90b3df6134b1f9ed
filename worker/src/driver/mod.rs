//! The thread that runs workflow code: workflow tasks in, commands out.
//!
//! One thread runs all workflow code of a worker, outside any async runtime, so that nothing but the engine's events
//! can make it go on. A run's code is kept between its tasks; a task that continues a run which is not kept here fails
//! with `ResetStickyTaskQueue`, and the engine sends the whole history at once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc},
    thread,
};

use history::{
    EventId, RunId,
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{Answers, FromWorker, Tasks, ToWorker, WorkflowTask},
};
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    oneshot,
};

mod cache;
pub(crate) mod foreign;
mod run;
mod waker;
mod watch;

use cache::Cache;
use run::{Progress, Run, TaskFailure};

pub(crate) use run::{Entry, panic_failure};
pub(crate) use watch::{SLOW, Watch};

use crate::panics;

/// What the driver is told.
pub(crate) enum Message {
    /// Work on a task.
    Task(WorkflowTask),
    /// Forget a run.
    Evict(RunId),
}

/// The workflows of a worker, by name.
pub(crate) type Workflows = HashMap<&'static str, Entry>;

/// The driver's thread. It ends when the sender is dropped and all its messages are worked off.
pub(crate) struct Driver {
    pub(crate) messages: Arc<mpsc::Sender<Message>>,
    pub(crate) ended: oneshot::Receiver<()>,
    pub(crate) watch: Arc<Watch>,
}

impl Driver {
    pub(crate) fn spawn(
        workflows: Workflows,
        cached_runs: usize,
        answers: Answers,
    ) -> io::Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let watch = Arc::new(Watch::default());
        let watched = watch.clone();
        thread::Builder::new()
            .name("workflows".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Made here, as workflow code never leaves its thread.
                let mut driver = Turns {
                    workflows,
                    cache: Cache::new(cached_runs),
                    answers,
                    watch: watched,
                };
                for message in inbox {
                    driver.handle(message);
                }
                drop(driver);
                // Nobody may be waiting for the end any more.
                let _ = end.send(());
            })?;
        Ok(Self {
            messages: Arc::new(messages),
            ended,
            watch,
        })
    }
}

impl Driver {
    /// Returns where an engine's messages go: workflow tasks straight to the driver's thread, the others out of the receiver.
    pub(crate) fn tasks(&self) -> (UnboundedReceiver<ToWorker>, Tasks) {
        let (sender, receiver) = unbounded_channel();
        // The engine's end must not keep the thread alive.
        let driver = Arc::downgrade(&self.messages);
        let tasks = Tasks::new(move |message| {
            let message = match message {
                ToWorker::WorkflowTask(task) => Message::Task(task),
                ToWorker::Evict(run_id) => Message::Evict(run_id),
                activity => return sender.send(activity).is_ok(),
            };
            driver
                .upgrade()
                .is_some_and(|driver| driver.send(message).is_ok())
        });
        (receiver, tasks)
    }
}

/// The stack of the driver's thread: that of a main thread, for deep workflow code.
const STACK_BYTES: usize = 8 * 1024 * 1024;

struct Turns {
    workflows: Workflows,
    cache: Cache<Run>,
    answers: Answers,
    watch: Arc<Watch>,
}

impl Turns {
    fn handle(&mut self, message: Message) {
        match message {
            Message::Evict(run_id) => drop(self.cache.take(run_id)),
            Message::Task(task) => {
                let answer = self.work(task);
                // An engine that is gone hands the task to another worker.
                self.answers.send(answer);
            }
        }
    }

    fn work(&mut self, task: WorkflowTask) -> FromWorker {
        let run_id = task.token.run_id;
        self.watch.begin(run_id, &task.workflow_type);
        // User code is guarded where it runs; this guard is for the driver itself.
        let outcome = panics::catch(
            |_| false,
            || {
                let mut run = self.run(&task)?;
                let progress = run.process(&task.events)?;
                Ok((run, progress))
            },
        )
        .unwrap_or_else(|panic| Err(TaskFailure::unhandled(Box::new(panic_failure(panic)))));
        self.watch.end();
        let token = task.token;
        match outcome {
            Ok((run, Progress { commands, closed })) => {
                if !closed {
                    self.cache.put(run_id, run);
                }
                FromWorker::WorkflowTaskCompleted {
                    token,
                    commands,
                    sdk_metadata: SdkMetadata::default(),
                    sticky: !closed && self.cache.keeps(),
                }
            }
            Err(TaskFailure { cause, failure }) => {
                if cause != WorkflowTaskFailedCause::ResetStickyTaskQueue {
                    tracing::warn!(%run_id, workflow_type = %task.workflow_type, ?cause, message = failure.message, "workflow task failed");
                }
                FromWorker::WorkflowTaskFailed {
                    token,
                    cause,
                    failure,
                }
            }
        }
    }

    /// Returns the cached run that the task continues, or a new one from its first event.
    fn run(&mut self, task: &WorkflowTask) -> Result<Run, TaskFailure> {
        let cached = self.cache.take(task.token.run_id);
        match task.events.first() {
            Some(first) if first.id == EventId::FIRST => {
                drop(cached);
                let entry = self.workflows.get(task.workflow_type.as_str());
                Run::begin(*entry.ok_or_else(|| self.unknown(task))?, task)
            }
            _ => cached
                .filter(|run| run.takes(&task.events))
                .ok_or_else(TaskFailure::resend),
        }
    }

    fn unknown(&self, task: &WorkflowTask) -> TaskFailure {
        let mut names: Vec<&str> = self.workflows.keys().copied().collect();
        names.sort_unstable();
        TaskFailure::new(
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            "WorkflowNotRegistered",
            format!(
                "this worker has no workflow `{}`; it has {}",
                task.workflow_type,
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        )
    }
}
