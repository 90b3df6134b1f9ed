//! What a run looks like from outside.

use history::{
    Execution, Timestamp,
    execution::{ActivityState, AttemptState},
};

use crate::{
    Description, PendingActivity, PendingChild, PendingTimer, PendingWorkflowTask, Starved,
    owner::state::{queues::Queues, run::Run, task_place::TaskPlace},
    words::Kind,
};

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
                run_id: child.start.map(|start| start.run_id),
                workflow_type: child.attributes().workflow_type.clone(),
                initiated_event_id: child.initiated_event_id(),
            })
            .collect(),
        unread_signals: run.unread_signals.clone(),
    }
}

/// Says whether the workflow task of a run waits although no worker takes it.
pub(super) fn workflow_task_starved(run: &Run, queues: &Queues, now: Timestamp) -> Option<Starved> {
    let task = run
        .execution
        .workflow_task()
        .filter(|_| run.task == TaskPlace::Queued)?;
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
