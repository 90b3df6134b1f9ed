//! What happens by time alone.

use crate::{
    decide::{
        Decision, attempt, close,
        draft::{Draft, TaskEnd},
        workflow_task,
    },
    effect::Effect,
    event::TimerFired,
    execution::{ActivityDeadline, ActivityState, Deadline, Execution, WorkflowTaskState},
    failure::TimeoutType,
    ids::RunId,
    record::Note,
    time::Timestamp,
};

/// Carries out the earliest deadline of a run if it is due. Nothing is due when the decision is empty; else apply it
/// and call again. `new_run_id` is taken if a retry of the workflow follows its run timeout.
pub fn fire_due(exec: &Execution, new_run_id: RunId, now: Timestamp) -> Decision {
    match exec.deadline() {
        Some((at, deadline)) if at <= now => fire(exec, deadline, new_run_id, now),
        Some(_) | None => Decision::default(),
    }
}

fn fire(exec: &Execution, deadline: Deadline, new_run_id: RunId, now: Timestamp) -> Decision {
    match deadline {
        Deadline::FirstWorkflowTask => {
            let mut draft = Draft::new(exec, now);
            draft.schedule_task(None);
            draft.finish()
        }
        Deadline::WorkflowTask => exec
            .workflow_task()
            .map_or_else(Decision::default, |task| task_due(exec, task, now)),
        Deadline::Activity(id, due) => {
            exec.activity(id)
                .map_or_else(Decision::default, |found| match due {
                    ActivityDeadline::Retry => next_attempt(exec, found, now),
                    ActivityDeadline::Timeout(timeout) => {
                        attempt::timed_out(exec, found, timeout.into(), now)
                    }
                })
        }
        Deadline::Timer(id) => exec.timer(id).map_or_else(Decision::default, |timer| {
            let fired = TimerFired {
                timer_id: timer.timer_id.clone(),
                started_event_id: id,
            };
            Draft::of_arrival(exec, now, vec![fired.into()]).finish_arrival()
        }),
        Deadline::RunTimeout => close::run_timed_out(exec, Some(new_run_id), now),
        Deadline::ExecutionTimeout => close::run_timed_out(exec, None, now),
    }
}

fn task_due(exec: &Execution, task: &WorkflowTaskState, now: Timestamp) -> Decision {
    if task.is_started() {
        return workflow_task::timed_out(exec, now);
    }
    if task.backoff_until().is_some() {
        return workflow_task::wait_is_over(exec, task, now);
    }
    let mut draft = Draft::new(exec, now);
    draft.end_task(TaskEnd::TimedOut(TimeoutType::ScheduleToStart));
    draft.retry_task(true, true);
    draft.finish()
}

fn next_attempt(exec: &Execution, activity: &ActivityState, now: Timestamp) -> Decision {
    let mut draft = Draft::new(exec, now);
    draft.note(Note::ActivityAttemptScheduled {
        scheduled_event_id: activity.scheduled_event_id(),
        attempt: activity.attempt,
    });
    draft.effects.push(Effect::dispatch_activity_task(activity));
    draft.finish()
}
