//! Random requests: whatever is asked, in whatever order, at whatever time, the rules hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::story::Story;
use crate::{
    Execution, Record,
    decide::{self, Effect},
    execution::{ActivityState, AttemptState, Status, WorkflowTaskState},
    ids::EventId,
    record::TaskFailed,
    time::Timestamp,
};

/// One step of a random story.
#[derive(Debug, Clone)]
enum Step {
    /// What may sensibly come next: one of the requests that [`sensible`] knows.
    Sensible(usize),
    /// A workflow task is taken, or completed with these commands, those left out that can't be carried out.
    Turn(Vec<String>),
    /// Anything.
    Any(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any::<usize>().prop_map(Step::Sensible),
        6 => prop::collection::vec(command(), 0..5).prop_map(Step::Turn),
        1 => anything().prop_map(Step::Any),
    ]
}

fn pick(lines: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(lines)
}

fn name() -> impl Strategy<Value = &'static str> {
    pick(&["a", "b", "c", "d", "e"])
}

fn anything() -> impl Strategy<Value = String> {
    let about_activity = pick(&[
        "run",
        "done",
        "err",
        "err final",
        "canceled",
        "beat",
        "lose",
    ]);
    let answer = pick(&[
        "child-started",
        "child-not-started",
        "child-closed",
        "signal-delivered",
        "signal-failed",
        "cancel-delivered",
        "cancel-failed",
    ]);
    prop_oneof![
        8 => pick(&[
            "take", "complete", "complete sticky force:", "fail-task", "fail-task attempt=2", "lose-task", "due",
            "cancel id=x", "signal s id=x", "wait 5s", "wait 11s", "crash", "back", "back", "complete: message",
        ])
        .prop_map(str::to_owned),
        4 => (about_activity, name(), pick(&["", " attempt=1", " attempt=2"])).prop_map(|(verb, name, attempt)| {
            let (verb, more) = verb.split_once(' ').unwrap_or((verb, ""));
            format!("{verb} {name} {more}{attempt}")
        }),
        4 => (answer, name()).prop_map(|(verb, name)| format!("{verb} {name}")),
        4 => prop::collection::vec(command(), 1..4).prop_map(|commands| format!("complete: {}", commands.join("; "))),
        1 => Just("terminate".to_owned()),
    ]
}

fn command() -> impl Strategy<Value = String> {
    let activity = pick(&[
        "",
        " attempts=1",
        " attempts=2 beat=2s",
        " all=6s queued=3s",
        " once=0s all=4s",
    ]);
    prop_oneof![
        6 => (name(), activity).prop_map(|(name, more)| format!("activity {name}{more}")),
        3 => name().prop_map(|name| format!("cancel-activity {name}")),
        3 => name().prop_map(|name| format!("timer {name} 3s")),
        2 => name().prop_map(|name| format!("cancel-timer {name}")),
        3 => (name(), pick(&["", " policy=abandon"])).prop_map(|(name, more)| format!("child {name}{more}")),
        2 => name().prop_map(|name| format!("signal-external {name}")),
        2 => name().prop_map(|name| format!("cancel-external {name}")),
        2 => pick(&["memo a=1", "upsert x=1", "marker m"]).prop_map(str::to_owned),
        1 => pick(&["return", "fail", "fail final", "end-canceled", "continue"]).prop_map(str::to_owned),
    ]
}

/// Returns the requests that fit the state of the run.
pub(super) fn sensible(execution: &Execution) -> Vec<String> {
    let mut lines: Vec<String> = ["signal s", "signal s id=x", "wait 1s", "wait 3s", "crash"]
        .map(str::to_owned)
        .to_vec();
    if !execution.cancel_requested() {
        lines.push("cancel id=x".to_owned());
    }
    match execution.workflow_task() {
        Some(task) if task.is_started() => {
            lines.extend(
                ["fail-task", "fail-task", "lose-task", "complete sticky:"].map(str::to_owned),
            );
        }
        Some(_) => lines.extend(["take", "take", "take"].map(str::to_owned)),
        None => {}
    }
    for activity in execution.activities() {
        let id = activity.scheduled_event_id();
        match activity.state {
            AttemptState::Scheduled { .. } => lines.extend(vec![format!("run {id}"); 3]),
            AttemptState::Started { .. } => {
                lines.extend(
                    ["done", "err", "beat", "lose", "canceled"].map(|verb| format!("{verb} {id}")),
                );
            }
            AttemptState::Backoff { .. } | AttemptState::Ended => {}
        }
    }
    for child in execution.children() {
        let id = child.initiated_event_id();
        lines.extend(
            ["child-started", "child-not-started", "child-closed"]
                .map(|verb| format!("{verb} {id}")),
        );
        lines.extend(
            ["failed", "canceled", "timed-out", "terminated"]
                .map(|how| format!("child-closed {id} {how}")),
        );
    }
    for (others, verb) in [
        (execution.external_signals().collect::<Vec<_>>(), "signal"),
        (execution.external_cancels().collect(), "cancel"),
    ] {
        for other in others {
            lines.extend(
                ["delivered", "failed"].map(|how| format!("{verb}-{how} {}", other.initiated.id)),
            );
        }
    }
    lines
}

/// Leaves out the commands that can't be carried out.
fn possible(story: &Story, commands: &[String]) -> Vec<String> {
    let mut activities: BTreeSet<String> = story
        .execution()
        .activities()
        .map(|activity| activity.attributes().activity_id.to_string())
        .collect();
    let mut timers: BTreeSet<String> = story
        .execution()
        .timers()
        .map(|timer| timer.timer_id.to_string())
        .collect();
    let mut cancelable: BTreeMap<String, EventId> = story
        .execution()
        .activities()
        .filter(|activity| activity.cancel_requested_event_id.is_none())
        .map(|activity| {
            (
                activity.attributes().activity_id.to_string(),
                activity.scheduled_event_id(),
            )
        })
        .collect();
    let fits = |command: &&String| {
        let mut words = command.split(' ');
        let (verb, name) = (words.next().unwrap(), words.next().unwrap_or_default());
        match verb {
            "activity" => activities.insert(name.to_owned()),
            "timer" => timers.insert(name.to_owned()),
            "cancel-timer" => timers.remove(name),
            "cancel-activity" => cancelable
                .remove(name)
                .is_some_and(|id| story.names.get(name) == Some(&id)),
            _ => true,
        }
    };
    let mut commands: Vec<String> = commands.iter().filter(fits).cloned().collect();
    let closes = |command: &String| {
        ["return", "fail", "end-canceled", "continue"]
            .iter()
            .any(|verb| command.starts_with(verb))
    };
    if let Some(at) = commands.iter().position(closes) {
        commands.truncate(at + 1);
    }
    commands
}

fn take_step(story: &mut Story, step: &Step) {
    match step {
        Step::Sensible(n) => {
            let lines = sensible(story.execution());
            story.ask(&lines[n % lines.len()]);
        }
        Step::Turn(commands) => {
            let started = story
                .execution()
                .workflow_task()
                .is_some_and(WorkflowTaskState::is_started);
            if !started {
                return drop(story.ask("take"));
            }
            let commands = possible(story, commands);
            story.ask(&format!("complete: {}", commands.join("; ")));
        }
        Step::Any(line) if line == "back" => story.now.0 -= 7_000_000,
        Step::Any(line) => drop(story.ask(line)),
    }
}

fn first() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "start",
        "start",
        "start",
        "start run=30s",
        "start execution=20s attempts=2",
        "start delay=3s",
        "start parent attempts=3",
    ])
}

/// Checks what must be true of a run at any moment.
fn check(story: &Story) -> Result<(), TestCaseError> {
    let execution = story.execution();
    let events: Vec<_> = story.log.iter().filter_map(Record::event).collect();
    for (at, pair) in events.windows(2).enumerate() {
        prop_assert_eq!(
            pair[0].id.0,
            i64::try_from(at).unwrap() + 1,
            "ids are contiguous from 1"
        );
        prop_assert!(pair[0].at <= pair[1].at, "times never run back");
    }
    let closed = story.log.iter().position(|record| {
        record
            .event()
            .is_some_and(|event| Status::closed_by(&event.kind).is_some())
    });
    if let Some(at) = closed {
        prop_assert_eq!(at + 1, story.log.len(), "nothing follows a close");
        let asks_for_work = |effect: &Effect| {
            matches!(
                effect,
                Effect::DispatchWorkflowTask { .. } | Effect::DispatchActivityTask { .. }
            )
        };
        prop_assert!(!execution.outstanding().iter().any(asks_for_work));
        prop_assert_eq!(execution.next_deadline(), None);
    }
    if execution.buffered_events() == 0 {
        prop_assert!(
            execution
                .activities()
                .all(|activity| activity.state != AttemptState::Ended)
        );
        prop_assert!(execution.timers().all(|timer| !timer.end_is_buffered));
        prop_assert!(execution.children().all(|child| !child.end_is_buffered));
        prop_assert!(
            execution
                .external_signals()
                .chain(execution.external_cancels())
                .all(|other| !other.end_is_buffered)
        );
    } else {
        prop_assert!(
            execution
                .workflow_task()
                .is_some_and(WorkflowTaskState::is_started)
        );
    }
    check_deadline(execution, story.now)
}

/// Checks that the next deadline is neither too early nor too late for what it announces.
fn check_deadline(execution: &Execution, now: Timestamp) -> Result<(), TestCaseError> {
    let Some(deadline) = execution.next_deadline() else {
        return Ok(());
    };
    let run_id = super::story::NEXT_RUN;
    let before = decide::fire_due(execution, run_id, Timestamp(deadline.0 - 1));
    prop_assert!(before.records.is_empty(), "something fired early");
    let due = decide::fire_due(execution, run_id, deadline.max(now));
    prop_assert!(!due.records.is_empty(), "nothing is due at a deadline");
    let mut after = execution.clone();
    for record in &due.records {
        prop_assert!(after.apply(record).is_ok(), "{:?}", after.apply(record));
    }
    prop_assert_ne!(&after, execution, "a deadline makes progress");
    Ok(())
}

/// Plays the shell: what outstanding says after a fold is what effects have said.
fn at_most_one_task(effects: &[Effect]) -> bool {
    let tasks = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::DispatchWorkflowTask { .. }));
    tasks.count() <= 1
}

/// Returns what a run is at, for as long as it may be kept: that a wait is over, time says again.
fn standing(execution: &Execution) -> String {
    let activities = execution.activities().map(|activity| {
        // Of one that ended the event says all.
        if activity.state == AttemptState::Ended {
            return format!("{:?} Ended", activity.scheduled_event_id());
        }
        let state = match &activity.state {
            AttemptState::Scheduled { at } if activity.attempt > 1 => {
                AttemptState::Backoff { until: *at }
            }
            state => state.clone(),
        };
        let (failure, details) = (&activity.last_failure, &activity.heartbeat_details);
        format!(
            "{:?} {} {state:?} {failure:?} {details:?}",
            activity.scheduled_event_id(),
            activity.attempt
        )
    });
    let task = execution
        .workflow_task()
        .map(|task| (task.attempt, task.is_transient(), task.start().cloned()));
    format!(
        "{:?} {:?} {} buffered, task {task:?} {:?}\n{}",
        execution.next_event_id(),
        execution.status(),
        execution.buffered_events(),
        failing(execution),
        activities.collect::<Vec<_>>().join("\n")
    )
}

/// Returns since when no workflow task completes, and how the last one failed: once something new has happened, that is forgotten
/// with the rest of its attempts.
fn failing(execution: &Execution) -> Option<(Timestamp, Option<TaskFailed>)> {
    let transient = execution
        .workflow_task()
        .is_some_and(WorkflowTaskState::is_transient);
    let failing = execution.task_failing()?;
    Some((failing.since, transient.then(|| failing.last.clone())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_whatever_is_asked(first in first(), steps in prop::collection::vec(step(), 0..60)) {
        let mut story = Story::new();
        story.ask(first);
        for step in &steps {
            take_step(&mut story, step);
            check(&story)?;
            prop_assert!(at_most_one_task(&story.execution().outstanding()));
        }
        story.check_fold();
    }

    #[test]
    fn log_and_what_is_kept_beside_it_make_the_same_run(
        first in first(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut story = Story::new();
        story.ask(first);
        for step in &steps {
            take_step(&mut story, step);
        }
        let execution = story.execution();
        let pending = execution.activities().map(ActivityState::scheduled_event_id);
        let kept: Vec<_> = pending
            .chain([EventId::NONE])
            .filter_map(|about| execution.attempts(about))
            .collect();
        let read = story.read_back(kept);
        prop_assert_eq!(standing(&read), standing(execution));
        // Without what may not be written yet: no failure is forgotten, and no attempt begins to count anew.
        let read = story.read_back(story.kept.values().cloned());
        prop_assert_eq!(read.next_event_id(), execution.next_event_id());
        prop_assert_eq!(read.status(), execution.status());
        prop_assert_eq!(read.buffered_events(), execution.buffered_events());
        for (read, live) in read.activities().zip(execution.activities()) {
            prop_assert_eq!(read.scheduled_event_id(), live.scheduled_event_id());
            if live.state != AttemptState::Ended {
                prop_assert_eq!(read.attempt, live.attempt);
                prop_assert_eq!(&read.last_failure, &live.last_failure);
            }
        }
        prop_assert_eq!(failing(&read), failing(execution));
        prop_assert_eq!(
            read.workflow_task().map(|task| task.attempt),
            execution.workflow_task().map(|task| task.attempt)
        );
    }
}

/// Returns a random story.
pub(super) fn story(runner: &mut TestRunner) -> Story {
    let mut story = Story::new();
    story.ask(first().new_tree(runner).unwrap().current());
    let steps = prop::collection::vec(step(), 0..60);
    for step in steps.new_tree(runner).unwrap().current() {
        take_step(&mut story, &step);
    }
    story
}

#[test]
fn random_stories_know_every_kind_of_record() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..1000 {
        seen.extend(story(&mut runner).log.iter().map(Record::name));
    }
    let missing: BTreeSet<&str> = super::pairs::kinds().difference(&seen).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
}
