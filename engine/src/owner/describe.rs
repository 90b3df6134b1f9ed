//! What a run looks like from outside.

use history::{
    ActivityId, ActivityType, EventId, Execution, Identity, Payloads, RunId, Status, TaskQueue,
    TimerId, Timestamp, WorkflowExecution, WorkflowId, WorkflowType,
    event::{Memo, SearchAttributes},
    execution::{ActivityState, AttemptState, TaskFailing},
    record::AttemptFailed,
    task::UnreadSignals,
};

use super::{
    Run,
    queues::{Kind, Queues, Starved},
    run::Unreadable,
};

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

/// Describes a run whose whole state is durable.
pub(super) fn describe(run: &Run, queues: &Queues, now: Timestamp) -> Description {
    let execution = &run.execution;
    let started = execution.started();
    Description {
        workflow_id: run.workflow_id().clone(),
        run_id: run.run_id(),
        first_run_id: started.first_execution_run_id,
        workflow_type: execution.workflow_type().clone(),
        task_queue: execution.task_queue().clone(),
        status: execution.status(),
        started_at: execution.started_at(),
        closed_at: execution.close_event().map(|event| event.at),
        described_at: now,
        history_length: execution.next_event_id().0 - 1,
        history_bytes: run.bytes,
        parent: started.parent_workflow_execution.clone(),
        memo: execution.memo(),
        search_attributes: execution.search_attributes(),
        cancel_requested: execution.cancel_requested(),
        pending_workflow_task: pending_workflow_task(execution),
        workflow_task_starved: workflow_task_starved(run, queues, now),
        unreadable: execution
            .workflow_task()
            .and_then(|_| run.unreadable.clone()),
        pending_activities: execution
            .activities()
            .map(|activity| pending_activity(activity, run, queues, now))
            .collect(),
        pending_timers: execution
            .timers()
            .map(|timer| PendingTimer {
                timer_id: timer.timer_id.clone(),
                fires_at: timer.fires_at,
            })
            .collect(),
        pending_children: execution
            .children()
            .map(|child| PendingChild {
                workflow_id: child.attributes().workflow_id.clone(),
                run_id: child.run_id,
                workflow_type: child.attributes().workflow_type.clone(),
                initiated_event_id: child.initiated_event_id(),
            })
            .collect(),
        unread_signals: run.unread_signals.clone(),
    }
}

/// Says whether the workflow task of a run waits although no worker takes it.
pub(super) fn workflow_task_starved(run: &Run, queues: &Queues, now: Timestamp) -> Option<Starved> {
    let task = run.execution.workflow_task().filter(|_| run.in_backlog)?;
    let queue = (run.key.namespace.clone(), task.task_queue.clone());
    queues.starved(&queue, Kind::Workflow, now)
}

/// Says whether an attempt of an activity waits although no worker takes it.
pub(super) fn activity_starved(
    activity: &ActivityState,
    run: &Run,
    queues: &Queues,
    now: Timestamp,
) -> Option<Starved> {
    match activity.state {
        AttemptState::Scheduled { .. } => {
            let task_queue = activity.attributes().task_queue.clone();
            queues.starved(
                &(run.key.namespace.clone(), task_queue),
                Kind::Activity,
                now,
            )
        }
        AttemptState::Backoff { .. } | AttemptState::Started { .. } | AttemptState::Ended => None,
    }
}

fn pending_workflow_task(execution: &Execution) -> Option<PendingWorkflowTask> {
    let task = execution.workflow_task()?;
    let started = task.start();
    Some(PendingWorkflowTask {
        attempt: task.attempt,
        scheduled_at: task.scheduled_at,
        started_at: started.map(|start| start.at),
        worker: started.and_then(|start| start.identity.clone()),
        next_attempt_at: task.backoff_until(),
        failing: execution.task_failing().cloned(),
    })
}

fn pending_activity(
    activity: &ActivityState,
    run: &Run,
    queues: &Queues,
    now: Timestamp,
) -> PendingActivity {
    let attributes = activity.attributes();
    let (state, started_at, next_attempt_at, worker) = match &activity.state {
        AttemptState::Scheduled { .. } => ("Scheduled", None, None, None),
        AttemptState::Backoff { until } => ("Backoff", None, Some(*until), None),
        AttemptState::Started { at, identity, .. } => {
            ("Started", Some(*at), None, identity.clone())
        }
        AttemptState::Ended => ("Ended", None, None, None),
    };
    PendingActivity {
        activity_id: attributes.activity_id.clone(),
        activity_type: attributes.activity_type.clone(),
        task_queue: attributes.task_queue.clone(),
        starved: activity_starved(activity, run, queues, now),
        state,
        attempt: activity.attempt,
        scheduled_at: activity.scheduled.at,
        started_at,
        next_attempt_at,
        last_failure: activity.last_failure.as_deref().cloned(),
        worker,
        heartbeat_details: activity.heartbeat_details.clone(),
    }
}
