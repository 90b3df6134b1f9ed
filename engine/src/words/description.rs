//! What a run looks like from outside.

use std::{collections::BTreeMap, sync::Arc};

use history::{
    ActivityId, ActivityType, EventId, Identity, Payloads, RunId, Status, TaskQueue, TimerId,
    Timestamp, WorkflowExecution, WorkflowId, WorkflowType,
    event::{Memo, SearchAttributes},
    execution::TaskFailing,
    record::AttemptFailed,
    task::UnreadSignals,
};
use serde::{Deserialize, Serialize};

use crate::Starved;

/// The durable state of a run. Temporal: `DescribeWorkflowExecutionResponse`.
#[derive(Debug, Clone)]
pub struct Description {
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run_id: RunId,
    /// The first run of its chain.
    pub first_run_id: RunId,
    /// The code it runs.
    pub workflow_type: WorkflowType,
    /// Where its workflow tasks go.
    pub task_queue: TaskQueue,
    /// Whether it runs, or how it ended.
    pub status: Status,
    /// When it started.
    pub started_at: Timestamp,
    /// When it closed, if it has.
    pub closed_at: Option<Timestamp>,
    /// When this was so.
    pub described_at: Timestamp,
    /// How many events it has.
    pub history_length: i64,
    /// The stored size of its history, in bytes.
    pub history_bytes: u64,
    /// The parent, if it is a child.
    pub parent: Option<WorkflowExecution>,
    /// Unindexed facts.
    pub memo: Memo,
    /// Indexed facts.
    pub search_attributes: SearchAttributes,
    /// Whether somebody asked it to cancel.
    pub cancel_requested: bool,
    /// The workflow task that waits or is with a worker.
    pub pending_workflow_task: Option<PendingWorkflowTask>,
    /// Its workflow task waits although no worker of any member takes it, as far as the owner knows.
    pub workflow_task_starved: Option<Starved>,
    /// Its workflow task waits because its history can't be read for a worker that does not have it.
    pub unreadable: Option<Unreadable>,
    /// Activities that are not over.
    pub pending_activities: Vec<PendingActivity>,
    /// Timers that run.
    pub pending_timers: Vec<PendingTimer>,
    /// Children that are not over.
    pub pending_children: Vec<PendingChild>,
    /// Signals that its code has been shown and has not read. Empty, too, from a restart until its code has run again.
    pub unread_signals: Vec<UnreadSignals>,
}

/// A workflow task that is not over.
#[derive(Debug, Clone)]
pub struct PendingWorkflowTask {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was scheduled, or the attempt before it failed.
    pub scheduled_at: Timestamp,
    /// When it was handed out, if a worker has it.
    pub started_at: Option<Timestamp>,
    /// The worker that has it.
    pub worker: Option<Identity>,
    /// When it is handed out, if it waits because the attempt before it failed. A worker with other code ends that wait.
    pub next_attempt_at: Option<Timestamp>,
    /// Since when no workflow task of the run was completed, and how the last attempt failed, if one has failed since.
    pub failing: Option<TaskFailing>,
}

/// An activity that is not over.
#[derive(Debug, Clone)]
pub struct PendingActivity {
    /// Its id.
    pub activity_id: ActivityId,
    /// Its code.
    pub activity_type: ActivityType,
    /// Where its attempts go.
    pub task_queue: TaskQueue,
    /// An attempt waits although no worker of any member takes it, as far as the owner knows.
    pub starved: Option<Starved>,
    /// `Scheduled`, `Backoff`, `Started` or `Ended` (its event waits for the workflow task under way).
    pub state: &'static str,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// When the attempt under way was handed out.
    pub started_at: Option<Timestamp>,
    /// When the next attempt may be handed out.
    pub next_attempt_at: Option<Timestamp>,
    /// How the attempt before failed, and when.
    pub last_failure: Option<AttemptFailed>,
    /// The worker of the attempt under way.
    pub worker: Option<Identity>,
    /// What the last heartbeat said.
    pub heartbeat_details: Payloads,
}

/// A timer that runs.
#[derive(Debug, Clone)]
pub struct PendingTimer {
    /// Its id.
    pub timer_id: TimerId,
    /// When it fires.
    pub fires_at: Timestamp,
}

/// A child that is not over.
#[derive(Debug, Clone)]
pub struct PendingChild {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Its first run, once it is known to have started.
    pub run_id: Option<RunId>,
    /// Its code.
    pub workflow_type: WorkflowType,
    /// The event that asked for it.
    pub initiated_event_id: EventId,
}

/// A history can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub problem: String,
}

/// A run that is asked about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) shard: i16,
    pub(crate) run_id: RunId,
    /// Where its workflow tasks go.
    pub(crate) task_queue: TaskQueue,
}

/// What the owner knows.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    /// The tasks that no worker takes, one of a run.
    pub(crate) found: Vec<(RunId, UntakenTask)>,
    /// The runs of other members, by their addresses.
    pub(crate) elsewhere: BTreeMap<Arc<str>, Vec<Asked>>,
}

/// A task that waits although no worker of any member takes it, as far as the owner of its run knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntakenTask {
    /// Where it waits.
    pub task_queue: TaskQueue,
    /// Its activity; none for the workflow task.
    pub activity: Option<UntakenActivity>,
    /// Since when.
    pub starved: Starved,
}

/// An activity that no worker takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntakenActivity {
    /// Its code.
    pub activity_type: ActivityType,
    /// Its id.
    pub activity_id: ActivityId,
}
