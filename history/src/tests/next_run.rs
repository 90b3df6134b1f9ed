//! The run that follows a run.

use std::sync::Arc;

use super::story::{Story, check};
use crate::{EventKind, Payload, Record};

#[test]
fn failed_run_is_retried() {
    check(
        "
        given start attempts=3 | take
        complete: fail
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed InProgress
          > StartNewRun Retry attempt 2 delay 1s after Error
        ",
    );
}

#[test]
fn failure_that_is_final_is_not_retried() {
    check(
        "
        given start attempts=3 | take
        complete: fail final
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed NonRetryableFailure
        ",
    );
}

#[test]
fn last_attempt_is_not_retried() {
    check(
        "
        given start attempts=1 | take
        complete: fail
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed MaximumAttemptsReached
        ",
    );
}

#[test]
fn run_timeout_is_retried() {
    check(
        "
        given start run=5s attempts=3
        wait 5s
          3 WorkflowExecutionTimedOut InProgress
          > StartNewRun Retry attempt 2 delay 1s after StartToClose
        ",
    );
}

#[test]
fn retry_beyond_the_execution_timeout_is_not_made() {
    check(
        "
        given start execution=6s run=10s attempts=3 | take | complete: timer t 5500ms | wait 5500ms | take
        complete: fail
          9 WorkflowTaskCompleted
          10 WorkflowExecutionFailed Timeout
        ",
    );
}

#[test]
fn run_goes_on_in_a_new_one() {
    check(
        "
        given start execution=60s | take | complete | wait 2s | signal go | take
        complete: continue
          8 WorkflowTaskCompleted
          9 WorkflowExecutionContinuedAsNew Workflow
          > StartNewRun Workflow attempt 1 expires 60s
        ",
    );
}

#[test]
fn run_that_lived_too_shortly_makes_the_next_one_wait() {
    check(
        "
        given start | take
        complete: continue
          4 WorkflowTaskCompleted
          5 WorkflowExecutionContinuedAsNew Workflow backoff 1s
          > StartNewRun Workflow attempt 1 delay 1s
        ",
    );
}

#[test]
fn new_run_may_be_asked_to_wait() {
    check(
        "
        given start | take
        complete: continue delay=30s
          4 WorkflowTaskCompleted
          5 WorkflowExecutionContinuedAsNew Workflow backoff 30s
          > StartNewRun Workflow attempt 1 delay 30s
        ",
    );
}

#[test]
fn memo_and_search_attributes_are_carried_as_they_are_now() {
    check(
        "
        given start | take | complete: memo a=1 b=2; upsert x=1 | wait 2s | signal go | take
        complete: memo b=null c=3; upsert x=2; continue
          10 WorkflowTaskCompleted
          11 WorkflowPropertiesModified
          12 UpsertWorkflowSearchAttributes
          13 WorkflowExecutionContinuedAsNew Workflow a=1 c=3 x=2
          > StartNewRun Workflow attempt 1 a=1 c=3 x=2
        ",
    );
}

#[test]
fn retry_carries_what_this_turn_changed() {
    check(
        "
        given start attempts=2 | take
        complete: memo a=1; fail
          4 WorkflowTaskCompleted
          5 WorkflowPropertiesModified
          6 WorkflowExecutionFailed InProgress
          > StartNewRun Retry attempt 2 delay 1s after Error a=1
        ",
    );
}

#[test]
fn run_does_not_go_on_over_what_it_has_not_seen() {
    check(
        "
        given start | take | signal hello | cancel
        complete: continue
          4 WorkflowTaskFailed UnhandledCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowExecutionCancelRequested
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
          ! UnhandledCommand: ContinueAsNewWorkflowExecution: something arrived meanwhile that workflow code has not seen; run it again
        ",
    );
}

#[test]
fn bad_options_of_the_new_run_are_refused() {
    check(
        "
        given start | take
        complete: continue run=900000h
          4 WorkflowTaskFailed BadContinueAsNewAttributes
          ! BadContinueAsNewAttributes: workflow_run_timeout: 3240000000000 ms is too long; the most is 3162240000000 ms
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        complete: continue size=2097200
          ~ WorkflowTaskAttemptFailed attempt 2: PayloadsTooLarge
          ! PayloadsTooLarge: input: has 2097212 bytes; the most is 2097152
        ",
    );
}

#[test]
fn empty_facts_and_nameless_markers_are_refused() {
    check(
        "
        given start | take
        complete: memo
          4 WorkflowTaskFailed BadModifyWorkflowPropertiesAttributes
          ! BadModifyWorkflowPropertiesAttributes: there is nothing to modify
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        complete: upsert
          ~ WorkflowTaskAttemptFailed attempt 2: BadSearchAttributes
          ! BadSearchAttributes: there is no search attribute
        wait 2s
          ~ WorkflowTaskAttemptScheduled attempt 3
          > DispatchWorkflowTask 5 attempt 3 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 3
        complete: marker
          ~ WorkflowTaskAttemptFailed attempt 3: BadRecordMarkerAttributes
          ! BadRecordMarkerAttributes: a marker needs a name
        wait 4s
          ~ WorkflowTaskAttemptScheduled attempt 4
          > DispatchWorkflowTask 5 attempt 4 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 4
        complete: marker m
          5 WorkflowTaskScheduled attempt 4
          6 WorkflowTaskStarted
          7 WorkflowTaskCompleted
          8 MarkerRecorded
        ",
    );
}

#[test]
fn signals_that_nobody_read_go_over_to_the_next_run_in_order() {
    check(
        "
        given start | take | complete | wait 2s | signal one id=a | signal two | signal three | take | signal four id=d | signal five
        complete: continue unread=one/a,three
          10 WorkflowTaskCompleted
          11 WorkflowExecutionContinuedAsNew Workflow
          > StartNewRun Workflow attempt 1 unread one unread three unread four unread five
        next
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 1: messages 2 starts 0
          2 WorkflowExecutionSignaled one
          3 WorkflowExecutionSignaled three
          4 WorkflowExecutionSignaled four
          5 WorkflowExecutionSignaled five
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        signal one id=a
        signal four id=d
        take
          7 WorkflowTaskStarted
        ",
    );
}

#[test]
fn signals_wait_with_the_run_that_waits() {
    check(
        "
        given start | take | signal hello
        complete: continue
          4 WorkflowTaskCompleted
          5 WorkflowExecutionContinuedAsNew Workflow backoff 1s
          > StartNewRun Workflow attempt 1 delay 1s unread hello
        next
          1 WorkflowExecutionStarted w backoff 1s
          2 WorkflowExecutionSignaled hello
        wait 1s
          3 WorkflowTaskScheduled
          > DispatchWorkflowTask 3 attempt 1 to main
        ",
    );
}

#[test]
fn signals_that_the_run_never_had_or_that_are_too_large_do_not_go_over() {
    check(
        "
        given start | take | complete | signal hello id=a | take
        complete: continue unread=hello/b
          8 WorkflowTaskFailed BadContinueAsNewAttributes
          ! BadContinueAsNewAttributes: unread_signals: the run has had no signal by request b
        given wait 1s | take
        complete: continue unread=one,two,three size=1500000
          ~ WorkflowTaskAttemptFailed attempt 2: PayloadsTooLarge
          ! PayloadsTooLarge: unread_signals: have 4500036 bytes; the most is 4194304; read some before continuing as new
        ",
    );
}

#[test]
fn retry_begins_without_the_signals_of_the_run_that_failed() {
    check(
        "
        given start attempts=2 | take | complete | signal hello id=a | take
        complete: fail
          8 WorkflowTaskCompleted
          9 WorkflowExecutionFailed InProgress
          > StartNewRun Retry attempt 2 delay 1s after Error
        next
          1 WorkflowExecutionStarted w backoff 1s attempt 2
          ~ RequestsHeard of 1: messages 1 starts 0
        signal hello id=a
        ",
    );
}

#[test]
fn null_takes_away_what_the_run_started_with() {
    check(
        "
        given start memo.a=1 memo.b=2 memo.c=3 search.x=1 search.y=2 | take | complete: memo a=null b=json-null; upsert x=null | wait 2s | signal go | take
        complete: continue
          10 WorkflowTaskCompleted
          11 WorkflowExecutionContinuedAsNew Workflow c=3 y=2
          > StartNewRun Workflow attempt 1 c=3 y=2
        ",
    );
}

#[test]
fn facts_that_no_run_may_start_with_are_refused() {
    check(
        "
        given start memo.a=#1500000 attempts=2 run=5s | take
        complete: memo b=#600000
          4 WorkflowTaskFailed PayloadsTooLarge
          ! PayloadsTooLarge: memo with what is upserted: has 2100026 bytes; the most is 2097152
        ",
    );
}

/// Recorded by an engine that did not look, say.
#[test]
fn retry_that_no_run_may_start_with_is_not_made() {
    for (end, told) in [
        (
            "complete: fail",
            "  5 WorkflowExecutionFailed InternalServerError",
        ),
        (
            "wait 5s",
            "  5 WorkflowExecutionTimedOut InternalServerError",
        ),
    ] {
        let mut story = Story::new();
        let mut decision = story.outcome("start attempts=2 run=5s").unwrap();
        if let Record::Event(event) = &mut decision.records[0]
            && let EventKind::WorkflowExecutionStarted(started) = &mut Arc::make_mut(event).kind
        {
            let large = Payload::binary(vec![0; 3_000_000]);
            started.memo.insert("a".to_owned(), large);
        }
        story.hear(Ok(decision));
        story.ask("take");
        let heard = story.ask(end);
        assert!(heard.iter().any(|line| line == told), "{heard:?}");
        assert!(!heard.iter().any(|line| line.contains("StartNewRun")));
    }
}

/// A run that begins with what the one before has left unread has a long history at once. Told to go on before it has read any, it
/// would do so for ever, and each run would write all of them again.
#[test]
fn signals_that_a_run_began_with_do_not_suggest_to_continue_as_new() {
    let unread = 5000;
    let mut story = Story::new();
    for line in ["start", "take", "complete", "wait 2s"] {
        story.ask(line);
    }
    for _ in 0..unread {
        story.ask("signal s");
    }
    assert!(story.ask("take")[0].ends_with("suggests to continue as new"));
    story.ask(&format!(
        "complete: continue unread={}",
        vec!["s"; unread].join(",")
    ));
    story.ask("next");
    let heard = story.ask("take");
    assert!(!heard[0].contains("suggests"), "{heard:?}");
}
