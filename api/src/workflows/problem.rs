//! What keeps a run from going on, in sentences: the one place where they are made. The description, the answer to a wait and the
//! command line show them.

use std::collections::HashSet;

use engine::{
    Description, PendingActivity, PendingWorkflowTask, Starved, Summary, Unreadable,
    UntakenActivity, UntakenTask, WhyStarved,
};
use history::{
    Note, TaskQueue, Timestamp,
    record::{TaskFailed, WorkflowTaskAttemptCause},
    rfc3339::Utc,
    task::UnreadSignals,
};
use serde::{Deserialize, Serialize};

use crate::{
    duration::Human,
    limits::{PROBLEMS_MAX, REASON_CHARS_MAX},
};

/// Something that keeps a run from going on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What does not go on: `workflow task`, a task queue, a signal or an activity by its name.
    pub(crate) about: String,
    /// Why, without what changes from one attempt to the next.
    pub(crate) reason: String,
    /// All of it in a sentence: since when, which attempt, when next, and why.
    pub(crate) message: String,
}

impl Problem {
    /// Says whether it is of the same thing for the same reason.
    fn is_same(&self, other: &Self) -> bool {
        (&self.about, &self.reason) == (&other.about, &other.reason)
    }
}

/// What somebody was told who waits: each reason once, not each attempt that it ends.
#[derive(Default)]
pub(crate) struct Told(HashSet<(String, String, String)>);

impl Told {
    /// Returns the messages of those problems of a workflow that have not been told yet.
    pub(crate) fn news(&mut self, workflow_id: &str, problems: Vec<Problem>) -> Vec<String> {
        let mut news = Vec::new();
        for problem in problems {
            let reason = (workflow_id.to_owned(), problem.about, problem.reason);
            if self.0.insert(reason) {
                news.push(problem.message);
            }
        }
        news
    }
}

/// Returns what keeps a run from going on: nothing for one that is well, or closed.
pub(crate) fn problems(run: &Description) -> Vec<Problem> {
    if !run.status.is_open() {
        return Vec::new();
    }
    let now = run.described_at;
    let task = run.pending_workflow_task.as_ref();
    let failing = task.and_then(|task| workflow_task(task, now));
    let activities = run.pending_activities.iter();
    failing
        .into_iter()
        .chain(run.unreadable.as_ref().map(|why| unreadable(why, now)))
        .chain(starved(run))
        .chain(run.unread_signals.iter().filter_map(misfits))
        .chain(activities.filter_map(|activity| failing_activity(activity, now)))
        .take(PROBLEMS_MAX)
        .collect()
}

/// Returns what keeps a run in a list from going on, as far as a list knows.
pub(crate) fn listed(run: &Summary) -> Option<Problem> {
    if !run.status.is_open() {
        return None;
    }
    let now = run.listed_at;
    let failing = run.failing.as_ref();
    let task = failing.and_then(|note| kept_workflow_task(note, now));
    task.or_else(|| run.untaken.as_ref().map(|task| untaken(task, now)))
        .or_else(|| failing.and_then(|note| kept_activity(note, now)))
}

/// What fails and is tried again.
struct Attempts {
    about: String,
    fails: Fails,
    /// The attempt that is under way or comes next.
    attempt: u32,
    started_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    reason: String,
}

/// What is known of when it failed.
enum Fails {
    Since(Timestamp),
    LastAt(Timestamp),
}

impl Attempts {
    fn problem(self, now: Timestamp) -> Problem {
        let Self { about, attempt, .. } = self;
        let fails = match self.fails {
            Fails::Since(since) => format!("failing since {}", moment(since, now)),
            Fails::LastAt(at) => format!("failed at {}", moment(at, now)),
        };
        let standing = match (self.started_at, self.next_attempt_at) {
            (Some(at), _) => format!("attempt {attempt} under way for {}", seconds(now, at)),
            (None, Some(at)) if at > now => {
                format!("attempt {attempt} next in {}", seconds(at, now))
            }
            (None, _) => format!("attempt {attempt} waits for a worker"),
        };
        let reason = cut(&self.reason);
        Problem {
            message: format!("{about} {fails}, {standing}: {reason}"),
            about,
            reason,
        }
    }
}

/// Reads what is kept of the attempts of a workflow task.
fn kept_workflow_task(note: &Note, now: Timestamp) -> Option<Problem> {
    let Note::WorkflowTaskAttempts {
        attempt,
        started,
        next_attempt_at,
        last_failure,
    } = note
    else {
        return None;
    };
    let attempts = Attempts {
        about: "workflow task".to_owned(),
        fails: Fails::LastAt(last_failure.at),
        attempt: *attempt,
        started_at: started.as_ref().map(|start| start.at),
        next_attempt_at: *next_attempt_at,
        reason: task_reason(last_failure),
    };
    Some(attempts.problem(now))
}

/// Reads what is kept of the attempts of an activity. It has no name there.
fn kept_activity(note: &Note, now: Timestamp) -> Option<Problem> {
    let Note::ActivityAttempts {
        scheduled_event_id,
        attempt,
        started,
        next_attempt_at,
        last_failure: Some(last),
        ..
    } = note
    else {
        return None;
    };
    let attempts = Attempts {
        about: format!("activity of event {scheduled_event_id}"),
        fails: Fails::Since(last.failing_since()),
        attempt: *attempt,
        started_at: started.as_ref().map(|start| start.at),
        next_attempt_at: *next_attempt_at,
        reason: last.failure.line(),
    };
    Some(attempts.problem(now))
}

fn workflow_task(task: &PendingWorkflowTask, now: Timestamp) -> Option<Problem> {
    let failing = task.failing.as_ref()?;
    let attempts = Attempts {
        about: "workflow task".to_owned(),
        fails: Fails::Since(failing.since),
        attempt: task.attempt,
        started_at: task.started_at,
        next_attempt_at: task.next_attempt_at,
        reason: task_reason(&failing.last),
    };
    Some(attempts.problem(now))
}

fn unreadable(unreadable: &Unreadable, now: Timestamp) -> Problem {
    let since = moment(unreadable.since, now);
    let reason = cut(&unreadable.problem);
    Problem {
        message: format!(
            "workflow task waits since {since}, because the history can't be read for its worker: {reason}"
        ),
        about: "history".to_owned(),
        reason,
    }
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
    let attempts = Attempts {
        about: format!(
            "activity `{}` ({})",
            activity.activity_type, activity.activity_id
        ),
        fails: Fails::Since(last.failing_since()),
        attempt: activity.attempt,
        started_at: activity.started_at,
        next_attempt_at: activity.next_attempt_at,
        reason: last.failure.line(),
    };
    Some(attempts.problem(now))
}

/// Returns the task queues for whose tasks of this run nobody is there, each once for each kind of tasks.
fn starved(run: &Description) -> Vec<Problem> {
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

fn untaken(task: &UntakenTask, now: Timestamp) -> Problem {
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

fn misfits(unread: &UnreadSignals) -> Option<Problem> {
    let misfit = unread.first_misfit.as_ref()?;
    let about = format!("signal `{}`", unread.signal_name);
    let reason = cut(&misfit.problem);
    Some(Problem {
        message: format!(
            "{about}: {} of {} unread are not what the code reads them as, first that of event {}: {reason}",
            unread.misfits, unread.count, misfit.event_id
        ),
        about,
        reason,
    })
}

/// Returns a time of day in UTC, with its day when that is another one.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (Utc(at).to_string(), Utc(now).to_string());
    let (day, of_day) = at.split_once('T').unwrap_or(("", &at));
    let second = of_day.split(['.', 'Z']).next().unwrap_or(of_day);
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
        task::Misfit,
    };

    use super::*;

    #[test]
    fn a_reason_is_told_once_of_each_workflow_whichever_attempt_it_ends() {
        let problem = |reason: &str, message: &str| Problem {
            about: "workflow task".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let mut told = Told::default();
        let problems = vec![problem("a", "attempt 1: a"), problem("b", "attempt 2: b")];
        assert_eq!(told.news("w", problems), ["attempt 1: a", "attempt 2: b"]);
        let again = || vec![problem("a", "attempt 3: a")];
        assert!(told.news("w", again()).is_empty());
        assert_eq!(told.news("other", again()), ["attempt 3: a"]);
    }

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
            workflow_task_starved: None,
            unreadable: None,
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
            starved: None,
            state: "Backoff",
            attempt,
            scheduled_at: at(-86_400),
            started_at: None,
            next_attempt_at: Some(at(90)),
            last_failure: last_failure.map(|message| AttemptFailed {
                attempt: attempt - 1,
                started_at: None,
                ended_at: at(-86_300),
                first_ended_at: Some(at(-86_400)),
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
                "activity `charge` (3) failing since 2026-11-27 12:03:20Z, attempt 4 next in 1m30s: card declined"
            ]
        );
    }

    fn starved_by(since: i64, why: WhyStarved) -> Starved {
        let since = at(since);
        Starved { since, why }
    }

    #[test]
    fn a_task_queue_that_nobody_polls_is_named_once() {
        let mut run = run();
        run.workflow_task_starved = Some(starved_by(-240, WhyStarved::NoPollers));
        let waits = PendingActivity {
            starved: Some(starved_by(-5, WhyStarved::NoPollers)),
            ..activity(1, None)
        };
        run.pending_activities = vec![waits.clone(), waits];
        assert_eq!(
            messages(&run),
            [
                "no worker has polled task queue `orders` for workflow tasks in the last 4m, and its workflow task waits for one",
                "no worker has polled task queue `cards` for activities in the last 5s, and its activity `charge` (3) waits for one",
            ]
        );
    }

    #[test]
    fn workers_whose_slots_are_all_taken_are_named() {
        let mut run = run();
        run.pending_activities = vec![PendingActivity {
            starved: Some(starved_by(-250, WhyStarved::NoSlots)),
            ..activity(1, None)
        }];
        assert_eq!(
            messages(&run),
            [
                "no worker of task queue `cards` has had a slot free for activities in the last 4m10s, and its activity `charge` (3) waits for one; code that does not return keeps its slot, also after its timeout",
            ]
        );
    }

    #[test]
    fn workers_that_take_other_tasks_are_not_taken_for_nobody() {
        let mut run = run();
        run.workflow_task_starved = Some(starved_by(-240, WhyStarved::OtherKind));
        run.pending_activities = vec![PendingActivity {
            starved: Some(starved_by(-5, WhyStarved::OtherKind)),
            task_queue: TaskQueue::known("orders"),
            ..activity(1, None)
        }];
        assert_eq!(
            messages(&run),
            [
                "the workers of task queue `orders` have taken no workflow tasks for 4m, and its workflow task waits for one that does",
                "the workers of task queue `orders` have taken no activities for 5s, and its activity `charge` (3) waits for one that does",
            ]
        );
    }

    #[test]
    fn signals_that_do_not_fit_are_a_problem_and_unread_ones_are_not() {
        let mut run = run();
        let unread = |misfits, first_misfit| UnreadSignals {
            signal_name: SignalName::known("approve"),
            count: 3,
            first_event_id: EventId(7),
            first_event_at: Timestamp(0),
            misfits,
            first_misfit,
        };
        run.unread_signals = vec![unread(0, None)];
        assert_eq!(problems(&run), []);
        let misfit = Misfit {
            event_id: EventId(8),
            problem: "expected a string".to_owned(),
        };
        run.unread_signals = vec![unread(2, Some(misfit))];
        assert_eq!(
            messages(&run),
            [
                "signal `approve`: 2 of 3 unread are not what the code reads them as, first that of event 8: expected a string"
            ]
        );
        run.status = Status::Terminated;
        assert_eq!(problems(&run), []);
    }

    #[test]
    fn a_history_that_cannot_be_read_is_a_problem() {
        let mut run = run();
        run.pending_workflow_task = Some(task(1));
        run.unreadable = Some(Unreadable {
            since: at(-10),
            problem: "the database failed: connection refused".to_owned(),
        });
        assert_eq!(
            messages(&run),
            [
                "workflow task waits since 12:03:10Z, because the history can't be read for its worker: the database failed: connection refused"
            ]
        );
    }

    #[test]
    fn a_list_names_a_failing_workflow_task_then_a_task_that_nobody_takes_then_a_failing_activity()
    {
        let mut listed_run = Summary {
            workflow_id: WorkflowId::known("w"),
            run_id: RunId(uuid::Uuid::nil()),
            workflow_type: WorkflowType::known("order"),
            task_queue: TaskQueue::known("orders"),
            status: Status::Running,
            started_at: at(-100),
            closed_at: None,
            history_length: None,
            parent: None,
            failing: None,
            untaken: None,
            listed_at: at(0),
        };
        let says = |run: &Summary, message: &str| {
            assert_eq!(
                listed(run).map(|problem| problem.message).as_deref(),
                Some(message)
            );
        };
        assert_eq!(listed(&listed_run), None);
        let declined = activity(4, Some("card declined"));
        listed_run.failing = Some(Note::ActivityAttempts {
            scheduled_event_id: EventId(5),
            attempt: 4,
            started: None,
            next_attempt_at: declined.next_attempt_at,
            last_failure: declined.last_failure.map(Box::new),
            heartbeat_details: Payloads::default(),
        });
        says(
            &listed_run,
            "activity of event 5 failing since 2026-11-27 12:03:20Z, attempt 4 next in 1m30s: card declined",
        );
        listed_run.untaken = Some(UntakenTask {
            task_queue: TaskQueue::known("cards"),
            activity: Some(UntakenActivity {
                activity_type: declined.activity_type,
                activity_id: declined.activity_id,
            }),
            starved: starved_by(-5, WhyStarved::NoPollers),
        });
        says(
            &listed_run,
            "no worker has polled task queue `cards` for activities in the last 5s, and its activity `charge` (3) waits for one",
        );
        let timed_out = WorkflowTaskAttemptCause::TimedOut(TimeoutType::StartToClose);
        let failing = failing(timed_out, None, task(3)).failing.unwrap();
        listed_run.failing = Some(Note::WorkflowTaskAttempts {
            attempt: 3,
            started: None,
            next_attempt_at: Some(at(8)),
            last_failure: Box::new(failing.last),
        });
        says(
            &listed_run,
            "workflow task failed at 12:03:16Z, attempt 3 next in 8s: no answer in time: its code keeps its thread busy, or its worker is gone",
        );
        listed_run.status = Status::Completed;
        assert_eq!(listed(&listed_run), None);
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
