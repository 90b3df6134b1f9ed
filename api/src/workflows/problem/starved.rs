//! Tasks that no worker takes.

use engine::{Description, Starved, UntakenActivity, UntakenTask, WhyStarved};
use history::{TaskQueue, Timestamp};

use super::sentence::{Problem, seconds};

/// Returns the task queues for whose tasks of this run nobody is there, each once for each kind of tasks.
pub(super) fn starved(run: &Description) -> Vec<Problem> {
    let now = run.described_at;
    let task = run.workflow_task_starved;
    let task = task.map(|starved| waits(&run.task_queue, None, starved, now));
    let activities = run.pending_activities.iter().filter_map(|activity| {
        let name = UntakenActivity {
            activity_type: activity.activity_type.clone(),
            activity_id: activity.activity_id.clone(),
        };
        let starved = activity.starved?;
        Some(waits(&activity.task_queue, Some(&name), starved, now))
    });
    let mut problems: Vec<Problem> = Vec::new();
    for problem in task.into_iter().chain(activities) {
        let is_same = |other: &Problem| other.is_same(&problem);
        if !problems.iter().any(is_same) {
            problems.push(problem);
        }
    }
    problems
}

pub(super) fn untaken(task: &UntakenTask, now: Timestamp) -> Problem {
    waits(&task.task_queue, task.activity.as_ref(), task.starved, now)
}

/// Says that an activity, or the workflow task, waits in a queue for a worker that takes it.
fn waits(
    queue: &TaskQueue,
    activity: Option<&UntakenActivity>,
    starved: Starved,
    now: Timestamp,
) -> Problem {
    let about = format!("task queue `{queue}`");
    let since = seconds(now, starved.since);
    let (kind, what) = match activity {
        None => ("workflow tasks", "its workflow task".to_owned()),
        Some(activity) => (
            "activities",
            format!(
                "its activity `{}` ({})",
                activity.activity_type, activity.activity_id
            ),
        ),
    };
    let (message, reason) = match starved.why {
        WhyStarved::NoPollers => (
            format!(
                "no worker has polled {about} for {kind} in the last {since}, and {what} waits for one"
            ),
            format!("no worker polls it for {kind}"),
        ),
        WhyStarved::OtherKind => (
            format!(
                "the workers of {about} have taken no {kind} for {since}, and {what} waits for one that does"
            ),
            format!("its workers take no {kind}"),
        ),
        WhyStarved::NoSlots => (
            format!(
                "no worker of {about} has had a slot free for {kind} in the last {since}, and {what} waits for one; \
                 code that does not return keeps its slot, also after its timeout"
            ),
            format!("its workers have no slot free for {kind}"),
        ),
    };
    Problem {
        about,
        reason,
        message,
    }
}
