//! Every limit, at its number.

use std::time::Instant;

use super::story::{Story, fold};
use crate::{Execution, limits, payload::Payloads};

fn told(story: &mut Story, lines: &[&str]) {
    for line in lines {
        let heard = story.ask(line);
        assert!(
            !heard.iter().any(|line| line.starts_with("  !")),
            "{line}: {heard:?}"
        );
    }
}

/// Asks for so many of a command in one turn.
fn complete_with(
    story: &mut Story,
    count: usize,
    command: impl Fn(usize) -> String,
) -> Vec<String> {
    let commands: Vec<String> = (0..count).map(command).collect();
    story.ask(&format!("complete: {}", commands.join("; ")))
}

fn refusal(heard: &[String]) -> &str {
    heard
        .last()
        .map_or("", |line| line.trim_start_matches("  ! "))
}

#[test]
fn pending_activities_children_signals_and_cancellations_are_counted() {
    let kinds: [(&str, &str); 4] = [
        ("activity", "PendingActivitiesLimitExceeded"),
        ("child", "PendingChildWorkflowsLimitExceeded"),
        ("signal-external", "PendingSignalsLimitExceeded"),
        ("cancel-external", "PendingRequestCancelLimitExceeded"),
    ];
    for (command, cause) in kinds {
        let mut story = Story::new();
        told(&mut story, &["start", "take"]);
        let heard = complete_with(&mut story, limits::PENDING_MAX + 1, |n| {
            format!("{command} n{n}")
        });
        assert!(refusal(&heard).starts_with(cause), "{heard:?}");
        let mut story = Story::new();
        told(&mut story, &["start", "take"]);
        complete_with(&mut story, limits::PENDING_MAX, |n| {
            format!("{command} n{n}")
        });
        told(&mut story, &["signal go", "take"]);
        let heard = story.ask(&format!("complete: {command} more"));
        assert!(refusal(&heard).starts_with(cause), "{heard:?}");
    }
}

#[test]
fn run_takes_so_many_signals() {
    let mut story = Story::new();
    told(&mut story, &["start"]);
    for _ in 0..limits::SIGNALS_MAX - 1 {
        told(&mut story, &["signal s"]);
    }
    told(&mut story, &["take", "signal s"]);
    assert_eq!(
        story.ask("signal s"),
        ["  ! TOO_MANY_SIGNALS"],
        "a buffered one counts"
    );
    told(&mut story, &["complete"]);
    assert_eq!(story.ask("signal s"), ["  ! TOO_MANY_SIGNALS"]);
}

#[test]
fn one_buffered_event_too_many_fails_the_task_and_empties_the_buffer() {
    let mut story = Story::new();
    told(&mut story, &["start", "take"]);
    for _ in 0..limits::BUFFERED_EVENTS_MAX {
        told(&mut story, &["signal s"]);
    }
    let heard = story.ask("signal last");
    assert_eq!(heard[0], "  4 WorkflowTaskFailed ForceCloseCommand");
    assert_eq!(heard[101], "  105 WorkflowExecutionSignaled last");
    assert_eq!(heard[102], "  106 WorkflowTaskScheduled");
    assert_eq!(story.execution().buffered_events(), 0);
}

#[test]
fn buffered_bytes_are_counted_but_one_event_always_fits() {
    let mut story = Story::new();
    told(&mut story, &["start", "take"]);
    assert_eq!(
        story.ask("signal s size=2097000"),
        ["  ~ Buffered WorkflowExecutionSignaled s"]
    );
    let heard = story.ask("signal s");
    assert_eq!(heard[0], "  4 WorkflowTaskFailed ForceCloseCommand");
}

/// Records as many signals and turns as it takes to come to `events` events.
fn long_run(events: i64) -> Story {
    let mut story = Story::new();
    told(&mut story, &["start", "take", "complete"]);
    while story.execution().next_event_id().0 + 4 <= events {
        told(&mut story, &["signal s", "take", "complete"]);
        if story.execution().signals() == limits::SIGNALS_MAX {
            break;
        }
    }
    while story.execution().next_event_id().0 + 3 <= events {
        if story.execution().workflow_task().is_none() {
            told(&mut story, &["cancel", "take"]);
        }
        told(&mut story, &["complete force:", "take"]);
    }
    story
}

#[test]
fn one_event_too_many_terminates_the_run() {
    let mut story = long_run(limits::HISTORY_EVENTS_MAX);
    assert!(story.execution().workflow_task().unwrap().is_started());
    let heard = complete_with(&mut story, 10, |n| format!("activity n{n}"));
    let last = story.execution().next_event_id().0 - 1;
    assert_eq!(
        heard,
        [
            format!("  {} WorkflowTaskFailed ForceCloseCommand", last - 1),
            format!(
                "  {last} WorkflowExecutionTerminated (history has grown beyond 51,200 events)"
            ),
            "  ! HISTORY_TOO_LONG".to_owned(),
        ]
    );
    story.check_fold();
}

#[test]
fn run_may_close_with_the_event_that_is_one_too_many() {
    let mut story = long_run(limits::HISTORY_EVENTS_MAX);
    let heard = story.ask("complete: timer a 1s; timer b 1s; timer c 1s; return");
    assert!(
        heard[4].ends_with("WorkflowExecutionCompleted"),
        "{heard:?}"
    );
}

#[test]
fn history_of_too_many_bytes_terminates_the_run_with_its_next_task() {
    let mut story = Story::new();
    told(&mut story, &["start"]);
    assert_eq!(
        story.ask("take bytes=52428801"),
        [
            "  3 WorkflowExecutionTerminated (history has grown beyond 50 MiB)",
            "  ! HISTORY_TOO_LONG"
        ]
    );
}

#[test]
fn long_or_large_history_suggests_to_continue_as_new() {
    let mut story = Story::new();
    // What it began with does not count.
    told(&mut story, &["start"]);
    assert_eq!(story.ask("take bytes=4194304"), ["  3 WorkflowTaskStarted"]);
    told(&mut story, &["complete", "signal s"]);
    assert_eq!(
        story.ask("take bytes=8388608"),
        ["  7 WorkflowTaskStarted suggests to continue as new"]
    );
    let mut story = long_run(limits::SUGGEST_CONTINUE_AS_NEW_EVENTS);
    if story.execution().workflow_task().is_some() {
        told(&mut story, &["complete"]);
    }
    told(&mut story, &["signal s", "signal s", "signal s"]);
    let heard = story.ask("take");
    assert!(
        heard[0].ends_with("suggests to continue as new"),
        "{heard:?}"
    );
}

#[test]
fn long_history_with_much_pending_folds_fast() {
    let mut story = long_run(40_000);
    if story.execution().workflow_task().is_none() {
        told(&mut story, &["signal s", "take"]);
    }
    complete_with(&mut story, limits::PENDING_MAX, |n| {
        format!("activity n{n}")
    });
    told(&mut story, &["run n1", "done n1"]);
    let begin = Instant::now();
    let execution = fold(&story.log);
    let took = begin.elapsed();
    assert_eq!(execution.activities().len(), limits::PENDING_MAX - 1);
    // A debug build on a busy machine; a release build takes a tenth of it.
    assert!(
        took.as_millis() < 1000,
        "{took:?} for {} records",
        story.log.len()
    );
}

#[test]
fn run_that_waits_is_small_in_memory() {
    assert!(size_of::<Execution>() <= 640, "{}", size_of::<Execution>());
    let mut story = Story::new();
    told(
        &mut story,
        &["start", "take", "complete: activity a; timer t 5s", "run a"],
    );
    let bytes = story.execution().memory_bytes();
    assert!((1000..4000).contains(&bytes), "{bytes}");
}

#[test]
fn memory_is_given_back_when_what_was_pending_ends() {
    let mut story = Story::new();
    told(&mut story, &["start", "take", "complete"]);
    let before = story.execution().memory_bytes();
    told(
        &mut story,
        &[
            "signal go",
            "take",
            "complete: activity a size=1000; timer t 5s; child c; signal-external x; cancel-external y",
            "run a",
            "beat a details=7",
            "err a",
            "wait 1s",
            "run a",
            "signal-delivered x",
            "take",
            "done a size=5000",
            "child-closed c completed",
            "cancel-failed y",
            "signal s",
            "complete: cancel-timer t",
            "take",
            "complete",
        ],
    );
    assert_eq!(story.execution().memory_bytes(), before);
    assert!(story.execution().is_waiting());
    assert_eq!(story.execution().started().input, Payloads::default());
}

#[test]
fn ids_from_outside_are_checked() {
    let long = "x".repeat(1001);
    for (command, cause) in [
        ("activity", "BadScheduleActivityAttributes"),
        ("timer", "BadStartTimerAttributes"),
        ("child", "BadStartChildExecutionAttributes"),
        ("signal-external", "BadSignalWorkflowExecutionAttributes"),
        (
            "cancel-external",
            "BadRequestCancelExternalWorkflowExecutionAttributes",
        ),
    ] {
        let mut story = Story::new();
        told(&mut story, &["start", "take"]);
        let heard = story.ask(&format!("complete: {command} {long}"));
        assert!(refusal(&heard).starts_with(cause), "{heard:?}");
    }
    let mut story = Story::new();
    told(&mut story, &["start"]);
    assert!(
        refusal(&story.ask(&format!("signal {long}"))).starts_with("INVALID_ARGUMENT signal_name")
    );
    assert!(
        refusal(&story.ask(&format!("signal s id={long}")))
            .starts_with("INVALID_ARGUMENT request_id")
    );
}

#[test]
fn failure_that_could_not_be_read_back_is_replaced() {
    let mut story = Story::new();
    told(
        &mut story,
        &[
            "start",
            "take",
            "complete: activity a",
            "run a",
            "err a depth=200",
        ],
    );
    story.check_fold();
    let state = story.execution().activities().next().unwrap();
    let message = &state.last_failure.as_ref().unwrap().failure.message;
    assert_eq!(
        message,
        "no (cut: the failure is 201 causes deep; the most is 64)"
    );
    told(&mut story, &["wait 1s", "run a", "err a depth=63"]);
    story.check_fold();
}

#[test]
fn a_closed_run_weighs_what_it_returns() {
    for command in ["return size=5000", "continue size=5000"] {
        let mut story = Story::new();
        told(
            &mut story,
            &["start", "take", &format!("complete: {command}")],
        );
        let bytes = story.execution().memory_bytes();
        assert!((6000..8000).contains(&bytes), "{command}: {bytes}");
    }
}
