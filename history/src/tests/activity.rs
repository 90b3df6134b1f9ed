//! Activities: attempts, retries, heartbeats.

use super::story::check;

#[test]
fn activity_is_dispatched_when_it_is_scheduled() {
    check(
        "
        given start | take
        complete: activity a
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a once 10s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn started_event_is_written_with_the_end() {
    check(
        "
        given start | take | complete: activity a
        run a
          ~ ActivityAttemptStarted a attempt 1
        done a
          6 ActivityTaskStarted a
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn attempt_is_handed_out_once() {
    check(
        "
        given start | take | complete: activity a | run a
        run a
          ! TASK_ALREADY_STARTED
        run a attempt=2
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn end_of_an_attempt_is_taken_once() {
    check(
        "
        given start | take | complete: activity a | run a | done a
        done a
          ! ACTIVITY_TASK_NOT_FOUND
        err a
          ! ACTIVITY_TASK_NOT_FOUND
        beat a
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn end_of_an_attempt_counts_even_if_its_start_was_never_recorded() {
    check(
        "
        given start | take | complete: activity a
        done a
          6 ActivityTaskStarted a
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failed_attempt_is_retried_without_events() {
    check(
        "
        given start | take | complete: activity a | run a
        err a
          ~ ActivityAttemptFailed a attempt 1: Error, next at 1s
        deadline
          = 1s
        run a attempt=2
          ! ACTIVITY_TASK_NOT_FOUND
        wait 1s
          ~ ActivityAttemptScheduled a attempt 2
          > DispatchActivityTask a attempt 2
        run a
          ~ ActivityAttemptStarted a attempt 2
        err a
          ~ ActivityAttemptFailed a attempt 2: Error, next at 3s
        deadline
          = 3s
        wait 2s
          ~ ActivityAttemptScheduled a attempt 3
          > DispatchActivityTask a attempt 3
        given run a
        done a
          6 ActivityTaskStarted a attempt 3 after Error
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn answer_of_an_attempt_before_is_refused() {
    check(
        "
        given start | take | complete: activity a | run a | err a | wait 1s
        done a attempt=1
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn attempts_are_counted() {
    check(
        "
        given start | take | complete: activity a attempts=2 | run a | err a | wait 1s | run a
        err a
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskFailed a (started 6): Error, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_that_says_so_is_final() {
    check(
        "
        given start | take | complete: activity a | run a
        err a final
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Error, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_of_a_listed_type_is_final() {
    check(
        "
        given start | take | complete: activity a attempts=0 never=Bad | run a
        err a type=Bad
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Bad, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_may_name_the_time_of_the_next_attempt() {
    check(
        "
        given start | take | complete: activity a | run a
        err a delay=30s
          ~ ActivityAttemptFailed a attempt 1: Error, next at 30s
        deadline
          = 30s
        ",
    );
}

#[test]
fn retry_beyond_schedule_to_close_is_not_made() {
    check(
        "
        given start | take | complete: activity a all=3s | run a | err a | wait 1s | run a
        err a
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskFailed a (started 6): Error, Timeout
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn heartbeat_details_reach_the_next_attempt() {
    check(
        "
        given start | take | complete: activity a beat=5s | run a
        beat a details=7
          ~ ActivityHeartbeat a attempt 1
        deadline
          = 5s
        ",
    );
}

#[test]
fn two_pending_activities_have_two_ids() {
    check(
        "
        given start | take
        complete: activity a; activity a
          4 WorkflowTaskFailed ScheduleActivityDuplicateId
          ! ScheduleActivityDuplicateId: an activity a is pending; give each pending one its own id
        ",
    );
}

#[test]
fn id_of_an_activity_that_ended_may_be_used_again() {
    check(
        "
        given start | take | complete: activity a | run a | done a | take
        complete: activity a
          10 WorkflowTaskCompleted
          11 ActivityTaskScheduled a once 10s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn activity_needs_a_timeout() {
    check(
        "
        given start | take
        complete: activity a once=0s
          4 WorkflowTaskFailed BadScheduleActivityAttributes
          ! BadScheduleActivityAttributes: activity a has neither schedule_to_close_timeout nor start_to_close_timeout; give one
        ",
    );
}

#[test]
fn timeouts_are_filled_from_schedule_to_close() {
    check(
        "
        given start | take
        complete: activity a all=8s once=0s queued=20s beat=30s
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a all 8s queued 8s once 8s beat 8s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn timeouts_are_filled_and_capped_by_the_run_timeout() {
    check(
        "
        given start run=30s | take
        complete: activity a; activity b all=100s once=50s
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a all 30s queued 30s once 10s
          6 ActivityTaskScheduled b all 30s queued 30s once 30s
          > DispatchActivityTask a attempt 1
          > DispatchActivityTask b attempt 1
        ",
    );
}

#[test]
fn result_that_is_too_large_fails_the_activity() {
    check(
        "
        given start | take | complete: activity a | run a
        done a size=2097200
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): result has 2097212 bytes; the most is 2097152, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_that_is_too_large_is_cut() {
    check(
        "
        given start | take | complete: activity a attempts=1 | run a
        err a size=2097200
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Error, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}
