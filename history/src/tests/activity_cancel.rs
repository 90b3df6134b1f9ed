//! Activities are canceled on request of workflow code.

use super::story::check;

#[test]
fn activity_that_no_worker_has_is_canceled_at_once() {
    check(
        "
        given start | take | complete: activity a | signal go | take
        complete: cancel-activity a
          9 WorkflowTaskCompleted
          10 ActivityTaskCancelRequested a
          11 ActivityTaskCanceled a (started 0)
          12 WorkflowTaskScheduled
          > DispatchWorkflowTask 12 attempt 1 to main
        run a
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn activity_that_waits_for_its_retry_is_canceled_at_once() {
    check(
        "
        given start | take | complete: activity a | run a | err a | signal go | take
        complete: cancel-activity a
          9 WorkflowTaskCompleted
          10 ActivityTaskCancelRequested a
          11 ActivityTaskCanceled a (started 0)
          12 WorkflowTaskScheduled
          > DispatchWorkflowTask 12 attempt 1 to main
        deadline
          = none
        ",
    );
}

#[test]
fn activity_scheduled_and_canceled_in_one_turn_is_never_dispatched() {
    check(
        "
        given start | take
        complete: activity a; cancel-activity 5; activity a
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a once 10s
          6 ActivityTaskCancelRequested a
          7 ActivityTaskCanceled a (started 0)
          8 ActivityTaskScheduled a once 10s
          9 WorkflowTaskScheduled
          > DispatchActivityTask a attempt 1
          > DispatchWorkflowTask 9 attempt 1 to main
        ",
    );
}

#[test]
fn worker_is_asked_and_answers() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take
        complete: cancel-activity a
          9 WorkflowTaskCompleted
          10 ActivityTaskCancelRequested a
          > CancelActivity a attempt 1
        canceled a
          11 ActivityTaskStarted a
          12 ActivityTaskCanceled a (started 11)
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
        ",
    );
}

#[test]
fn worker_may_complete_all_the_same() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | complete: cancel-activity a
        done a
          11 ActivityTaskStarted a
          12 ActivityTaskCompleted a (started 11)
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
        ",
    );
}

#[test]
fn canceled_activity_is_not_retried() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | complete: cancel-activity a
        err a
          11 ActivityTaskStarted a
          12 ActivityTaskFailed a (started 11): Error, CancelRequested
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
        ",
    );
}

#[test]
fn canceled_activity_that_times_out_is_not_retried() {
    check(
        "
        given start | take | complete: activity a once=4s | run a | signal go | take | complete: cancel-activity a
        wait 4s
          11 ActivityTaskStarted a
          12 ActivityTaskTimedOut a (started 11): StartToClose, CancelRequested
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn who_ends_as_canceled_unasked_has_failed() {
    check(
        "
        given start | take | complete: activity a | run a
        canceled a
          ~ ActivityAttemptFailed a attempt 1: no cancellation of this activity was requested, next at 1s
          ! CANCELLATION_NOT_REQUESTED
        ",
    );
}

#[test]
fn cancellation_is_requested_once() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | complete: cancel-activity a | signal go | take
        complete: cancel-activity a
          14 WorkflowTaskFailed BadRequestCancelActivityAttributes
          ! BadRequestCancelActivityAttributes: activity of event 5 can't be canceled: its cancellation was requested before
        ",
    );
}

#[test]
fn unknown_activity_can_t_be_canceled() {
    check(
        "
        given start | take
        complete: cancel-activity 4
          4 WorkflowTaskFailed BadRequestCancelActivityAttributes
          ! BadRequestCancelActivityAttributes: activity of event 4 can't be canceled: it is not pending
        ",
    );
}

#[test]
fn end_that_is_buffered_comes_after_the_request() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | done a
        complete: cancel-activity a
          9 WorkflowTaskCompleted
          10 ActivityTaskCancelRequested a
          11 ActivityTaskStarted a
          12 ActivityTaskCompleted a (started 11)
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
        ",
    );
}
