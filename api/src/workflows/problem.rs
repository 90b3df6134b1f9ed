//! What keeps a run from going on, in sentences: the one place where they are made. The description, the answer to a wait and the
//! command line show them.

use engine::{Description, PendingActivity, PendingWorkflowTask};
use history::{
    Timestamp,
    record::{TaskFailed, WorkflowTaskAttemptCause},
    task::UnreadSignals,
};
use serde::Serialize;

use crate::{
    duration::Human,
    limits::{PROBLEMS_MAX, REASON_CHARS_MAX},
    rfc3339::Utc,
};

/// Something that keeps a run from going on.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What does not go on: `workflow task`, a task queue, a signal or an activity by its name.
    pub(crate) about: String,
    /// Why, without what changes from one attempt to the next.
    pub(crate) reason: String,
    /// All of it in a sentence: since when, which attempt, when next, and why.
    pub(crate) message: String,
}

/// Returns what keeps a run from going on: nothing for one that is well.
pub(crate) fn problems(run: &Description) -> Vec<Problem> {
    let now = run.described_at;
    let task = run.pending_workflow_task.as_ref();
    let failing = task.and_then(|task| workflow_task(task, now));
    let activities = run.pending_activities.iter();
    failing
        .into_iter()
        .chain(unpolled(run))
        .chain(run.unread_signals.iter().filter_map(misfits))
        .chain(activities.filter_map(|activity| failing_activity(activity, now)))
        .take(PROBLEMS_MAX)
        .collect()
}

fn workflow_task(task: &PendingWorkflowTask, now: Timestamp) -> Option<Problem> {
    let failing = task.failing.as_ref()?;
    let about = "workflow task".to_owned();
    let since = moment(failing.since, now);
    let standing = standing(task.attempt, task.started_at, task.next_attempt_at, now);
    let reason = cut(&task_reason(&failing.last));
    Some(Problem {
        message: format!("{about} failing since {since}, {standing}: {reason}"),
        about,
        reason,
    })
}

fn task_reason(last: &TaskFailed) -> String {
    match (&last.failure, last.cause) {
        (Some(failure), _) if !failure.message.is_empty() => failure.line(),
        (_, WorkflowTaskAttemptCause::Failed(cause)) => format!("{cause:?}"),
        (_, WorkflowTaskAttemptCause::TimedOut(_)) => {
            "no answer in time: its code keeps its thread busy, or its worker is gone".to_owned()
        }
    }
}

fn failing_activity(activity: &PendingActivity, now: Timestamp) -> Option<Problem> {
    let last = activity.last_failure.as_ref()?;
    let about = format!(
        "activity `{}` ({})",
        activity.activity_type, activity.activity_id
    );
    let at = moment(last.ended_at, now);
    let standing = standing(
        activity.attempt,
        activity.started_at,
        activity.next_attempt_at,
        now,
    );
    let reason = cut(&last.failure.line());
    Some(Problem {
        message: format!("{about} failed at {at}, {standing}: {reason}"),
        about,
        reason,
    })
}

/// Returns the task queues for whose tasks of this run nobody is there, each once.
fn unpolled(run: &Description) -> Vec<Problem> {
    let workflow_task = run
        .workflow_task_unpolled_since
        .map(|since| (&run.task_queue, since, "its workflow task".to_owned()));
    let activities = run.pending_activities.iter().filter_map(|activity| {
        let what = format!(
            "its activity `{}` ({})",
            activity.activity_type, activity.activity_id
        );
        Some((&activity.task_queue, activity.unpolled_since?, what))
    });
    let mut problems: Vec<Problem> = Vec::new();
    for (queue, since, what) in workflow_task.into_iter().chain(activities) {
        let about = format!("task queue `{queue}`");
        if problems.iter().any(|problem| problem.about == about) {
            continue;
        }
        let time = seconds(run.described_at, since);
        problems.push(Problem {
            message: format!("no worker polls {about} since {time}, and {what} waits for one"),
            about,
            reason: "no worker polls it".to_owned(),
        });
    }
    problems
}

fn misfits(unread: &UnreadSignals) -> Option<Problem> {
    let problem = unread.problem.as_deref().filter(|_| unread.misfits > 0)?;
    let about = format!("signal `{}`", unread.signal_name);
    let reason = cut(problem);
    Some(Problem {
        message: format!(
            "{about}: {} of {} unread are not what the code reads them as: {reason}",
            unread.misfits, unread.count
        ),
        about,
        reason,
    })
}

/// Says where an attempt stands: the one that is under way or comes next.
fn standing(
    attempt: u32,
    started_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> String {
    match (started_at, next_attempt_at) {
        (Some(at), _) => format!("attempt {attempt} under way for {}", seconds(now, at)),
        (None, Some(at)) if at > now => format!("attempt {attempt} next in {}", seconds(at, now)),
        (None, _) => format!("attempt {attempt} waits for a worker"),
    }
}

/// Returns a time of day in UTC, with its day when that is another one.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (Utc(at).to_string(), Utc(now).to_string());
    let (day, of_day) = at.split_once('T').unwrap_or(("", &at));
    let second = of_day.split('.').next().unwrap_or(of_day);
    if now.starts_with(day) {
        format!("{second}Z")
    } else {
        format!("{day} {second}Z")
    }
}

/// Returns the time between two moments in whole seconds, a second at least.
fn seconds(later: Timestamp, earlier: Timestamp) -> Human {
    let seconds = later.since(earlier).as_secs_f64().round().max(1.0);
    Human(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn cut(reason: &str) -> String {
    if reason.chars().count() <= REASON_CHARS_MAX {
        return reason.to_owned();
    }
    reason
        .chars()
        .take(REASON_CHARS_MAX - 1)
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use history::{
        ActivityId, ActivityType, EventId, Failure, Payloads, RunId, SignalName, Status, TaskQueue,
        WorkflowId, WorkflowType,
        event::{Memo, SearchAttributes, WorkflowTaskFailedCause},
        execution::TaskFailing,
        failure::TimeoutType,
        record::AttemptFailed,
    };

    use super::*;

    /// 28 November 2026, 12:03:20 UTC.
    const NOW: i64 = 1_795_867_400;

    fn at(seconds_from_now: i64) -> Timestamp {
        Timestamp((NOW + seconds_from_now) * 1_000_000)
    }

    fn run() -> Description {
        Description {
            workflow_id: WorkflowId::known("w"),
            run_id: RunId(uuid::Uuid::nil()),
            first_run_id: RunId(uuid::Uuid::nil()),
            workflow_type: WorkflowType::known("order"),
            task_queue: TaskQueue::known("orders"),
            status: Status::Running,
            started_at: at(-100),
            closed_at: None,
            described_at: at(0),
            history_length: 4,
            history_bytes: 400,
            parent: None,
            memo: Memo::default(),
            search_attributes: SearchAttributes::default(),
            cancel_requested: false,
            pending_workflow_task: None,
            workflow_task_unpolled_since: None,
            pending_activities: Vec::new(),
            pending_timers: Vec::new(),
            pending_children: Vec::new(),
            unread_signals: Vec::new(),
        }
    }

    fn task(attempt: u32) -> PendingWorkflowTask {
        PendingWorkflowTask {
            attempt,
            scheduled_at: at(-4),
            started_at: None,
            worker: None,
            next_attempt_at: Some(at(8)),
            failing: None,
        }
    }

    fn failing(
        cause: WorkflowTaskAttemptCause,
        failure: Option<Failure>,
        task: PendingWorkflowTask,
    ) -> PendingWorkflowTask {
        let last = TaskFailed {
            attempt: 1,
            at: at(-4),
            cause,
            failure,
            identity: None,
        };
        PendingWorkflowTask {
            failing: Some(TaskFailing {
                since: at(-10),
                last,
            }),
            ..task
        }
    }

    fn activity(attempt: u32, last_failure: Option<&str>) -> PendingActivity {
        PendingActivity {
            activity_id: ActivityId::known("3"),
            activity_type: ActivityType::known("charge"),
            task_queue: TaskQueue::known("cards"),
            unpolled_since: None,
            state: "Backoff",
            attempt,
            scheduled_at: at(-86_400),
            started_at: None,
            next_attempt_at: Some(at(90)),
            last_failure: last_failure.map(|message| AttemptFailed {
                attempt: attempt - 1,
                started_at: None,
                ended_at: at(-86_400),
                identity: None,
                failure: Failure::application(message, "", false),
            }),
            worker: None,
            heartbeat_details: Payloads::default(),
        }
    }

    fn messages(run: &Description) -> Vec<String> {
        problems(run)
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn a_run_that_is_well_has_no_problem() {
        let mut run = run();
        assert_eq!(problems(&run), []);
        run.pending_workflow_task = Some(task(1));
        run.pending_activities = vec![activity(1, None)];
        assert_eq!(problems(&run), []);
    }

    #[test]
    fn a_failing_workflow_task_says_since_when_which_attempt_when_next_and_why() {
        use WorkflowTaskAttemptCause::{Failed, TimedOut};
        const WHY: &str = "cannot decode input: missing field `name` at line 1 column 2";
        let unhandled = Failed(WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure);
        let unreadable = || {
            let missing =
                Failure::application("missing field `name` at line 1 column 2", "", false);
            Some(Failure::application("cannot decode input", "", false).because(missing))
        };
        let started = PendingWorkflowTask {
            started_at: Some(at(-3)),
            ..task(2)
        };
        let waiting = PendingWorkflowTask {
            next_attempt_at: None,
            ..task(2)
        };
        for (task, standing, why) in [
            (
                failing(unhandled, unreadable(), task(17)),
                "attempt 17 next in 8s",
                WHY,
            ),
            (
                failing(unhandled, unreadable(), started),
                "attempt 2 under way for 3s",
                WHY,
            ),
            (
                failing(TimedOut(TimeoutType::StartToClose), None, waiting),
                "attempt 2 waits for a worker",
                "no answer in time: its code keeps its thread busy, or its worker is gone",
            ),
            (
                failing(
                    Failed(WorkflowTaskFailedCause::ForceCloseCommand),
                    None,
                    task(3),
                ),
                "attempt 3 next in 8s",
                "ForceCloseCommand",
            ),
        ] {
            let mut run = run();
            run.pending_workflow_task = Some(task);
            let message = format!("workflow task failing since 12:03:10Z, {standing}: {why}");
            assert_eq!(messages(&run), [message]);
            assert_eq!(problems(&run)[0].reason, why);
        }
    }

    #[test]
    fn a_failing_activity_is_named() {
        let mut run = run();
        run.pending_activities = vec![activity(1, None), activity(4, Some("card\ndeclined"))];
        assert_eq!(
            messages(&run),
            [
                "activity `charge` (3) failed at 2026-11-27 12:03:20Z, attempt 4 next in 1m30s: card declined"
            ]
        );
    }

    #[test]
    fn a_task_queue_that_nobody_polls_is_named_once() {
        let mut run = run();
        run.workflow_task_unpolled_since = Some(at(-240));
        let waits = PendingActivity {
            unpolled_since: Some(at(-5)),
            ..activity(1, None)
        };
        run.pending_activities = vec![waits.clone(), waits];
        assert_eq!(
            messages(&run),
            [
                "no worker polls task queue `orders` since 4m, and its workflow task waits for one",
                "no worker polls task queue `cards` since 5s, and its activity `charge` (3) waits for one",
            ]
        );
    }

    #[test]
    fn signals_that_do_not_fit_are_a_problem_and_unread_ones_are_not() {
        let mut run = run();
        let unread = |misfits, problem: Option<&str>| UnreadSignals {
            signal_name: SignalName::known("approve"),
            count: 3,
            first_event_id: EventId(7),
            misfits,
            problem: problem.map(str::to_owned),
        };
        run.unread_signals = vec![unread(0, None)];
        assert_eq!(problems(&run), []);
        run.unread_signals = vec![unread(2, Some("expected a string"))];
        assert_eq!(
            messages(&run),
            [
                "signal `approve`: 2 of 3 unread are not what the code reads them as: expected a string"
            ]
        );
    }

    #[test]
    fn there_are_only_so_many_and_only_so_long() {
        let mut run = run();
        let long = "x".repeat(10_000);
        run.pending_activities = vec![activity(2, Some(&long)); PROBLEMS_MAX + 1];
        let problems = problems(&run);
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert_eq!(problems[0].reason.chars().count(), REASON_CHARS_MAX);
        assert!(problems[0].reason.ends_with('…'));
    }
}
