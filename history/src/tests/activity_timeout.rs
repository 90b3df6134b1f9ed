//! The four timeouts of an activity, and a worker that is gone.

use super::story::check;

#[test]
fn schedule_to_start_is_final() {
    check(
        "
        given start | take | complete: activity a queued=3s
        deadline
          = 3s
        wait 3s
          6 ActivityTaskTimedOut a (started 0): ScheduleToStart, NonRetryableFailure
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn schedule_to_start_counts_anew_for_each_attempt() {
    check(
        "
        given start | take | complete: activity a queued=3s | wait 2s | run a | err a | wait 1s
        deadline
          = 6s
        wait 3s
          6 ActivityTaskTimedOut a (started 0): ScheduleToStart because Error, NonRetryableFailure
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn start_to_close_is_retried() {
    check(
        "
        given start | take | complete: activity a once=4s | run a
        deadline
          = 4s
        wait 4s
          ~ ActivityAttemptFailed a attempt 1: StartToClose, next at 5s
          > CancelActivity a attempt 1
        deadline
          = 5s
        ",
    );
}

#[test]
fn start_to_close_of_the_last_attempt_is_final() {
    check(
        "
        given start | take | complete: activity a once=4s attempts=1 | run a
        wait 4s
          6 ActivityTaskStarted a
          7 ActivityTaskTimedOut a (started 6): StartToClose, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn listed_timeout_is_not_retried() {
    check(
        "
        given start | take | complete: activity a once=4s attempts=0 never=TemporalTimeout:StartToClose | run a
        wait 4s
          6 ActivityTaskStarted a
          7 ActivityTaskTimedOut a (started 6): StartToClose, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn heartbeat_keeps_an_attempt_alive() {
    check(
        "
        given start | take | complete: activity a once=60s beat=5s | run a | wait 4s | beat a
        deadline
          = 9s
        wait 5s
          ~ ActivityAttemptFailed a attempt 1: Heartbeat, next at 10s
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn heartbeat_timeout_is_retried() {
    check(
        "
        given start | take | complete: activity a once=60s beat=5s | run a
        wait 5s
          ~ ActivityAttemptFailed a attempt 1: Heartbeat, next at 6s
          > CancelActivity a attempt 1
        deadline
          = 6s
        ",
    );
}

#[test]
fn schedule_to_close_ends_an_attempt_under_way() {
    check(
        "
        given start | take | complete: activity a all=6s once=60s | run a
        wait 6s
          6 ActivityTaskStarted a
          7 ActivityTaskTimedOut a (started 6): ScheduleToClose, Timeout
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn timeout_whose_retry_would_be_too_late_is_schedule_to_close() {
    check(
        "
        given start | take | complete: activity a all=6s once=4s | run a | err a | wait 1s | run a
        wait 4s
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskTimedOut a (started 6): ScheduleToClose because Error, Timeout
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          > CancelActivity a attempt 2
        ",
    );
}

#[test]
fn unpicked_activity_with_one_timeout_for_all_times_out_as_schedule_to_start() {
    check(
        "
        given start | take | complete: activity a all=6s once=0s
        wait 6s
          6 ActivityTaskTimedOut a (started 0): ScheduleToStart, NonRetryableFailure
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn lost_worker_counts_as_a_missed_heartbeat() {
    check(
        "
        given start | take | complete: activity a | run a
        lose a
          ~ ActivityAttemptFailed a attempt 1: Heartbeat, next at 1s
        lose a
          ! ACTIVITY_TASK_NOT_FOUND
        wait 1s
          ~ ActivityAttemptScheduled a attempt 2
          > DispatchActivityTask a attempt 2
        ",
    );
}

#[test]
fn lost_worker_of_the_only_attempt_ends_the_activity() {
    check(
        "
        given start | take | complete: activity a attempts=1 | run a
        lose a
          6 ActivityTaskStarted a
          7 ActivityTaskTimedOut a (started 6): Heartbeat, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn at_equal_times_the_first_scheduled_comes_first() {
    check(
        "
        given start | take | complete: activity b queued=5s; timer t 5s; activity a queued=5s
        wait 5s
          8 ActivityTaskTimedOut b (started 0): ScheduleToStart, NonRetryableFailure
          9 WorkflowTaskScheduled
          > DispatchWorkflowTask 9 attempt 1 to main
          10 TimerFired t
          11 ActivityTaskTimedOut a (started 0): ScheduleToStart, NonRetryableFailure
        ",
    );
}
