//! The worker: what it can run, and how much of it at once.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io, process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use history::{
    BuildId, Identity, Namespace, TaskQueue,
    ids::InvalidId,
    task::{Answers, Tasks, WorkerHello},
};
use tokio::runtime::Handle;

use crate::{
    activity::{self, Activities, ActivityContext, Dependencies, Host},
    build_id,
    code::{ActivityCode, WorkflowCode},
    definition::Need,
    desk::Desk,
    driver::{self, Driver, Workflows},
};

/// The workflow tasks a worker takes at once, unless told. They wait for a thread, which does one after the other, so more would
/// only time out there.
pub const WORKFLOW_SLOTS: u32 = 100;
/// The activities a worker runs at once, unless told: enough to wait for many models and databases.
pub const ACTIVITY_SLOTS: u32 = 200;
/// The runs whose code a worker keeps between tasks, unless told: some 3 KiB each, so 30 MiB. One more costs a replay.
pub const CACHED_RUNS: usize = 10_000;
/// How long a worker that leaves waits for its activities, unless told.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs workflows and activities of one task queue.
///
/// ```
/// # extern crate worker as coreason;
/// use worker::prelude::*;
///
/// #[activity]
/// async fn greet(name: String) -> Result<String> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// #[workflow]
/// async fn hello(wf: Workflow, name: String) -> Result<String> {
///     wf.call(greet, name).await
/// }
///
/// # fn main() {
/// let worker = Worker::new("hello").workflow(hello).activity(greet);
/// assert_eq!(worker.check(), Ok(()));
/// # }
/// ```
#[derive(Clone)]
pub struct Worker {
    task_queue: String,
    namespace: String,
    identity: Option<String>,
    build_id: Option<String>,
    workflows: Workflows,
    activities: Activities,
    dependencies: Dependencies,
    /// Names that were registered twice.
    twice: Vec<String>,
    workflow_slots: u32,
    activity_slots: u32,
    cached_runs: usize,
    drain_timeout: Duration,
}

/// Why a worker can't run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An activity takes something by reference that the worker does not have.
    #[error(
        "activity `{activity}` takes &{dependency}, which the worker does not have; add it: Worker::new(..).with(..)"
    )]
    MissingDependency {
        /// The activity.
        activity: &'static str,
        /// The type it takes.
        dependency: &'static str,
    },
    /// Two workflows or two activities have one name.
    #[error(
        "{what} is registered twice; give one of them another name: #[{kind}(name = \"..\")]",
        what = .0, kind = .0.split(' ').next().unwrap_or_default()
    )]
    NameTwice(String),
    /// It has workflows or activities, and no slots for any of them.
    #[error(
        "the worker of task queue `{0}` has no slots for what it can run, so that it would run nothing; give it some: \
         Worker::activity_slots(..), Worker::workflow_slots(..) or --activity-slots"
    )]
    NoSlots(String),
    /// A name is not legal.
    #[error("{0}")]
    InvalidName(#[from] InvalidId),
    /// The thread for workflow code could not be started.
    #[error("the thread for workflow code could not be started: {0}")]
    Thread(String),
}

impl Worker {
    /// Returns a worker of that task queue that can run nothing yet.
    pub fn new(task_queue: impl Into<String>) -> Self {
        Self {
            task_queue: task_queue.into(),
            namespace: "default".to_owned(),
            identity: None,
            build_id: None,
            workflows: HashMap::new(),
            activities: HashMap::new(),
            dependencies: Dependencies::default(),
            twice: Vec::new(),
            workflow_slots: WORKFLOW_SLOTS,
            activity_slots: ACTIVITY_SLOTS,
            cached_runs: CACHED_RUNS,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }

    /// Adds a workflow.
    #[must_use]
    pub fn workflow<W: WorkflowCode>(mut self, workflow: fn() -> W) -> Self {
        let _ = workflow;
        let entry = driver::Entry {
            name: W::NAME,
            start: |workflow, input| Ok(W::start(workflow, W::decode(input)?)),
        };
        if self.workflows.insert(W::NAME, entry).is_some() {
            self.twice.push(format!("workflow `{}`", W::NAME));
        }
        self
    }

    /// Adds an activity.
    #[must_use]
    pub fn activity<A: ActivityCode>(mut self, activity: fn() -> A) -> Self {
        let _ = activity;
        let entry = activity::Entry {
            name: A::NAME,
            needs: A::NEEDS,
            run: A::run,
        };
        if self.activities.insert(A::NAME, entry).is_some() {
            self.twice.push(format!("activity `{}`", A::NAME));
        }
        self
    }

    /// Adds what activities take by reference; one value per type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, dependency: T) -> Self {
        self.dependencies.insert(dependency);
        self
    }

    /// Serves another namespace than `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Is known by another name than `pid@host`.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Is known as another build than by a digest of the program's file, of a release's name for example. Workflow tasks that
    /// fail are tried again at once when a worker of another build connects.
    #[must_use]
    pub fn build_id(mut self, build_id: impl Into<String>) -> Self {
        self.build_id = Some(build_id.into());
        self
    }

    /// Takes at most that many workflow tasks at once.
    #[must_use]
    pub fn workflow_slots(mut self, most: u32) -> Self {
        self.workflow_slots = most;
        self
    }

    /// Runs at most that many activities at once.
    #[must_use]
    pub fn activity_slots(mut self, most: u32) -> Self {
        self.activity_slots = most;
        self
    }

    /// Keeps the code of at most that many runs between their tasks.
    #[must_use]
    pub fn cached_runs(mut self, most: usize) -> Self {
        self.cached_runs = most;
        self
    }

    /// Waits that long for its activities when it leaves. The process that it runs in waits for it, and takes that much longer to
    /// stop than [`DRAIN_TIMEOUT`] has it: whoever stops the process has to allow for that.
    #[must_use]
    pub fn drain_timeout(mut self, most: Duration) -> Self {
        self.drain_timeout = most;
        self
    }

    /// Returns how long it waits for its activities when it leaves.
    pub fn drains_within(&self) -> Duration {
        self.drain_timeout
    }

    /// Returns the namespace that it serves.
    pub fn served_namespace(&self) -> &str {
        &self.namespace
    }

    /// Says what keeps the worker from running, if anything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), BuildError> {
        if let Some(name) = self.twice.first() {
            return Err(BuildError::NameTwice(name.clone()));
        }
        let context = std::any::TypeId::of::<ActivityContext>();
        let met = |need: &Need| (need.id)() == context || self.dependencies.meets(need);
        let mut activities: Vec<_> = self.activities.values().collect();
        activities.sort_by_key(|activity| activity.name);
        for activity in activities {
            if let Some(need) = activity.needs.iter().find(|need| !met(need)) {
                return Err(BuildError::MissingDependency {
                    activity: activity.name,
                    dependency: (need.name)(),
                });
            }
        }
        let (workflows, activities) = self.slots();
        let has_any = !self.workflows.is_empty() || !self.activities.is_empty();
        if has_any && workflows == 0 && activities == 0 {
            return Err(BuildError::NoSlots(self.task_queue.clone()));
        }
        self.build()?;
        self.names().map(|_| ())
    }

    /// Returns how many tasks of workflows and of activities it takes at once.
    fn slots(&self) -> (u32, u32) {
        let slots = |most: u32, none: bool| if none { 0 } else { most };
        (
            slots(self.workflow_slots, self.workflows.is_empty()),
            slots(self.activity_slots, self.activities.is_empty()),
        )
    }

    fn build(&self) -> Result<Option<BuildId>, BuildError> {
        Ok(self.build_id.as_ref().map(BuildId::new).transpose()?)
    }

    fn names(&self) -> Result<(Identity, Namespace, TaskQueue), BuildError> {
        let identity = match &self.identity {
            Some(identity) => Identity::new(identity)?,
            None => Identity::known(own_identity()),
        };
        Ok((
            identity,
            Namespace::new(&self.namespace)?,
            TaskQueue::new(&self.task_queue)?,
        ))
    }

    /// Returns what the worker says of itself when it connects.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn hello(&self) -> Result<WorkerHello, BuildError> {
        self.check()?;
        let (identity, namespace, task_queue) = self.names()?;
        let (workflow_slots, activity_slots) = self.slots();
        Ok(WorkerHello {
            identity,
            namespace,
            task_queue,
            workflow_slots,
            activity_slots,
            build_id: self.build()?.unwrap_or_else(build_id::own),
        })
    }

    /// Connects and runs until the engine is gone or `shutdown` is done. Then it takes no new tasks, waits for the activities it has
    /// up to the drain timeout, and gives up those that are left, so that they are repeated elsewhere.
    ///
    /// Runs inside a tokio runtime; activities run on it, workflow code on a thread of its own. `connect` tells an engine, in this
    /// process or through a socket, what this worker takes and where its tasks go, and returns where its answers go.
    ///
    /// # Errors
    /// As [`check`](Self::check), and what `connect` fails with.
    pub async fn run<E: From<BuildError>>(
        self,
        connect: impl FnOnce(WorkerHello, Tasks) -> Result<Answers, E>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), E> {
        let hello = self.hello()?;
        // The first task may be done before the connection is known here.
        let connected = Arc::new(OnceLock::<Answers>::new());
        let answers = Answers::new({
            let connected = Arc::clone(&connected);
            move |answer| connected.wait().send(answer)
        });
        let driver = Driver::spawn(self.workflows, self.cached_runs, answers.clone())
            .map_err(|error: io::Error| BuildError::Thread(error.to_string()))?;
        let host = Host::new(
            self.activities,
            self.dependencies,
            Handle::current(),
            answers.clone(),
        );
        let (tasks, direct) = driver.tasks();
        let _ = connected.set(connect(hello, direct)?);
        let desk = Desk {
            tasks,
            answers,
            host: host.into(),
            driver,
        };
        desk.serve(shutdown, self.drain_timeout).await;
        Ok(())
    }
}

/// One worker where several may be named.
impl From<Worker> for Vec<Worker> {
    fn from(worker: Worker) -> Self {
        vec![worker]
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("task_queue", &self.task_queue)
            .field("workflows", &self.workflows.keys())
            .field("activities", &self.activities.keys())
            .finish_non_exhaustive()
    }
}

/// Returns `pid@host`.
fn own_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME").map_err(io::Error::other))
        .unwrap_or_else(|_| "localhost".to_owned());
    let host: String = host.chars().filter(|c| !c.is_control()).take(253).collect();
    format!("{}@{host}", process::id())
}
