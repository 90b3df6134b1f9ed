//! What an engine hands to a worker, and what the worker answers: the words of every transport.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    command::Command,
    event::{Event, Header, SdkMetadata, WorkflowTaskFailedCause},
    failure::Failure,
    ids::{
        ActivityId, ActivityType, BuildId, EventId, Identity, Namespace, RunId, SignalName,
        TaskQueue, WorkflowId, WorkflowType,
    },
    payload::Payloads,
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Names one hand-out of a workflow task: in all of the cluster there is no other with an equal token. An answer with a token that is
/// no longer current is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkflowTaskToken {
    /// The run's namespace.
    pub namespace: Namespace,
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// The `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// The `WorkflowTaskStarted` event, or the id that it will have.
    pub started_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The folding of the run that the task was built on: a run that was dropped from memory and
    /// folded again, by this member or another, has another one, so that no answer lands on a history it was not built on. Its upper
    /// half is the epoch of the member, which the database gives to one member only, its lower half is of a counter of that member. A run that follows another in one commit has the same.
    pub incarnation: u64,
}

/// A turn for workflow code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkflowTask {
    /// To be given back with the answer.
    pub token: WorkflowTaskToken,
    /// The code to run.
    pub workflow_type: WorkflowType,
    /// The `WorkflowTaskStarted` event of the last completed task; `NONE` for the first.
    pub previous_started_event_id: EventId,
    /// The events: from 1 when the worker has not cached the run, else those after
    /// `previous_started_event_id`. The last one is `WorkflowTaskStarted`.
    pub events: Vec<Arc<Event>>,
    /// The most time until its answer; zero if none. One that waits for longer is not begun.
    pub start_to_close_timeout: Millis,
}

/// Signals of one name that workflow code has not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadSignals {
    /// The channel.
    pub signal_name: SignalName,
    /// How many there are.
    pub count: u32,
    /// The oldest.
    pub first_event_id: EventId,
    /// When that came.
    pub first_event_at: Timestamp,
    /// How many of them code tried to read as something that they are not.
    pub misfits: u32,
    /// The oldest of those.
    pub first_misfit: Option<Misfit>,
}

/// A signal that is not what code tried to read it as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// Its event.
    pub event_id: EventId,
    /// Why it does not fit.
    pub problem: String,
}

/// Names one hand-out of an attempt of an activity: in all of the cluster there is no other with an equal token. The same attempt is
/// handed out again when its start was not durable before its run went to another member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActivityTaskToken {
    /// The run's namespace.
    pub namespace: Namespace,
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// The `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The folding of the run that handed it out, as in [`WorkflowTaskToken::incarnation`]: each hands an attempt out once. An answer
    /// counts whichever folding it is of.
    pub incarnation: u64,
}

/// An attempt of an activity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivityTask {
    /// To be given back with the answer.
    pub token: ActivityTaskToken,
    /// The workflow's code.
    pub workflow_type: WorkflowType,
    /// The activity's id.
    pub activity_id: ActivityId,
    /// The activity's code.
    pub activity_type: ActivityType,
    /// Context that travels along.
    pub header: Header,
    /// The arguments.
    pub input: Payloads,
    /// What the last heartbeat of the attempt before said.
    pub heartbeat_details: Payloads,
    /// When the activity was scheduled.
    pub scheduled_at: Timestamp,
    /// When this attempt was scheduled.
    pub attempt_scheduled_at: Timestamp,
    /// When this attempt was handed out.
    pub started_at: Timestamp,
    /// The most time for all attempts; zero if none.
    pub schedule_to_close_timeout: Millis,
    /// The most time for this attempt; zero if none.
    pub start_to_close_timeout: Millis,
    /// The most time between heartbeats; zero if none are expected.
    pub heartbeat_timeout: Millis,
    /// When a failed attempt is repeated.
    pub retry_policy: RetryPolicy,
}

/// What a worker says of itself when it connects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerHello {
    /// The worker's name for people: `pid@host` unless told.
    pub identity: Identity,
    /// The namespace it serves.
    pub namespace: Namespace,
    /// The queue it takes tasks from.
    pub task_queue: TaskQueue,
    /// How many workflow tasks it takes at once; 0 for none.
    pub workflow_slots: u32,
    /// How many activities it runs at once; 0 for none.
    pub activity_slots: u32,
    /// Which code it runs. Workflow tasks that other code could not do are tried again when it comes.
    pub build_id: BuildId,
}

/// What an engine sends to a connected worker. Each task takes a slot until it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToWorker {
    /// A turn for workflow code.
    WorkflowTask(WorkflowTask),
    /// An attempt of an activity.
    ActivityTask(Box<ActivityTask>),
    /// The workflow asked to cancel this attempt, or nobody waits for it any more.
    CancelActivity(ActivityTaskToken),
    /// Its run is about to leave: a heartbeat of this attempt that is held back is wanted now.
    HeartbeatWanted(ActivityTaskToken),
    /// What the worker said of this attempt was refused, and the attempt has ended with a failure that says why.
    ActivityRefused {
        /// Of the attempt.
        token: ActivityTaskToken,
        /// Why.
        problem: String,
    },
    /// The cached state of this run is of no use any more.
    Evict(RunId),
}

/// What a worker sends to its engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromWorker {
    /// The outcome of a turn.
    WorkflowTask {
        /// Of the task.
        token: WorkflowTaskToken,
        /// The worker's word.
        answer: WorkflowTaskAnswer,
    },
    /// What there is to say of an attempt.
    ActivityTask {
        /// Of the attempt.
        token: ActivityTaskToken,
        /// The worker's word.
        answer: ActivityTaskAnswer,
    },
    /// The worker takes no new tasks and will leave when those it has are done.
    Draining,
}

/// The outcome of a turn. Each answer ends its task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum WorkflowTaskAnswer {
    /// Workflow code ran as far as it could.
    Completed {
        /// What it asks for, in order.
        commands: Vec<Command>,
        /// What the SDK needs to know again at replay.
        sdk_metadata: SdkMetadata,
        /// Whether the worker keeps the run cached and wants only new events next time.
        sticky: bool,
        /// The signals that the code has been shown and has not read.
        unread_signals: Vec<UnreadSignals>,
    },
    /// Workflow code could not run: it panicked, is unknown here, or disagrees with its history.
    Failed {
        /// Why.
        cause: WorkflowTaskFailedCause,
        /// More of why.
        failure: Box<Failure>,
    },
}

/// What a worker says of an attempt: the first word that ends it counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ActivityTaskAnswer {
    /// It returned.
    Completed {
        /// What.
        result: Payloads,
    },
    /// It failed.
    Failed {
        /// How.
        failure: Box<Failure>,
    },
    /// It ended as canceled.
    Canceled {
        /// What it said of it.
        details: Payloads,
    },
    /// It is still alive.
    Heartbeat {
        /// How far it is.
        details: Payloads,
    },
}

impl ActivityTaskAnswer {
    /// Says whether the attempt is over, so that its slot is free.
    pub fn ends_attempt(&self) -> bool {
        match self {
            Self::Completed { .. } | Self::Failed { .. } | Self::Canceled { .. } => true,
            Self::Heartbeat { .. } => false,
        }
    }
}

/// Where a worker's tasks go: straight to its threads in the same process, or onto a wire. When the last clone is dropped
/// the engine has let the worker go.
#[derive(Clone)]
pub struct Tasks(Arc<dyn Fn(ToWorker) -> bool + Send + Sync>);

impl Tasks {
    /// Returns the way to whoever takes the tasks, which must not wait; it says whether somebody still does.
    pub fn new(take: impl Fn(ToWorker) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Sends a message, and says whether the worker is still there.
    pub fn send(&self, message: ToWorker) -> bool {
        (self.0)(message)
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

/// Where a worker's answers go: straight into the engine of the same process, or onto a wire. Cheap to clone; when
/// the last clone is dropped the engine takes the worker for gone.
#[derive(Clone)]
pub struct Answers(Arc<dyn Fn(FromWorker) -> bool + Send + Sync>);

impl Answers {
    /// Returns the way to whoever takes the answers; it says whether somebody still does.
    pub fn new(take: impl Fn(FromWorker) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Sends an answer, and says whether anybody took it. Nobody does when the engine has lost its ownership.
    pub fn send(&self, answer: FromWorker) -> bool {
        (self.0)(answer)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}
