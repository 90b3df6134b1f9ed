use engine::{
    PendingActivity, PendingWorkflowTask, Starved, UntakenActivity, UntakenTask, WhyStarved,
};
use history::{
    ActivityId, ActivityType, EventId, Failure, Note, Payloads, RunId, SignalName, Status,
    TaskQueue, WorkflowId, WorkflowType,
    event::{Memo, SearchAttributes, WorkflowTaskFailedCause},
    execution::TaskFailing,
    failure::TimeoutType,
    record::{AttemptFailed, TaskFailed, WorkflowTaskAttemptCause},
    task::Misfit,
};

use super::*;
use crate::limits::REASON_CHARS_MAX;

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
        let missing = Failure::application("missing field `name` at line 1 column 2", "", false);
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
fn a_list_names_a_failing_workflow_task_then_a_task_that_nobody_takes_then_a_failing_activity() {
    let mut listed_run = Summary {
        workflow_id: WorkflowId::known("w"),
        run_id: RunId(uuid::Uuid::nil()),
        workflow_type: WorkflowType::known("order"),
        task_queue: TaskQueue::known("orders"),
        status: Status::Running,
        started_at: at(-100),
        execution_at: at(-100),
        closed_at: None,
        history_length: None,
        history_bytes: None,
        parent: None,
        root: None,
        memo: Memo::new(),
        search_attributes: None,
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
