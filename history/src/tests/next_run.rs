//! The run that follows a run.

use super::story::check;

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
        given start | take | signal hello
        complete: continue
          4 WorkflowTaskFailed UnhandledCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
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
