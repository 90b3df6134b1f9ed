//! What is known after a crash: the log, and what is kept of attempts beside it.

use super::story::check;

#[test]
fn pending_workflow_task_is_dispatched_again() {
    check(
        "
        given start
        crash
          > DispatchWorkflowTask 2 attempt 1 to main
        ",
    );
}

#[test]
fn started_workflow_task_waits_for_its_timeout() {
    check(
        "
        given start | take
        crash
        wait 10s
          4 WorkflowTaskTimedOut StartToClose
          > DispatchWorkflowTask 5 attempt 2 to main
        ",
    );
}

#[test]
fn attempt_of_a_workflow_task_is_dispatched_again() {
    check(
        "
        given start | take | fail-task | wait 1s | take
        crash
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        ",
    );
}

#[test]
fn later_attempt_under_way_is_known_by_what_it_held_back() {
    check(
        "
        given start | take | fail-task | wait 1s | take | signal hello
        crash
        complete
          5 WorkflowTaskScheduled attempt 2
          6 WorkflowTaskStarted
          7 WorkflowTaskCompleted
          8 WorkflowExecutionSignaled hello
          9 WorkflowTaskScheduled
          > DispatchWorkflowTask 9 attempt 1 to main
        ",
    );
}

#[test]
fn attempts_count_on_after_a_crash() {
    check(
        "
        given start | take | complete: activity a attempts=3 | run a | err a | wait 1s | run a | err a
        crash
        wait 2s
          ~ ActivityAttemptScheduled a attempt 3
          > DispatchActivityTask a attempt 3
        given run a
        err a
          6 ActivityTaskStarted a attempt 3 after Error
          7 ActivityTaskFailed a (started 6): Error, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn attempts_of_a_workflow_task_count_on_after_a_crash() {
    check(
        "
        given start | take | fail-task | wait 1s | take | fail-task | wait 2s | take | fail-task
        crash
        wait 3s
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 4
          > DispatchWorkflowTask 5 attempt 4 to main
        given take
        complete
          5 WorkflowTaskScheduled attempt 4
          6 WorkflowTaskStarted
          7 WorkflowTaskCompleted
        ",
    );
}

#[test]
fn what_a_later_attempt_held_back_is_there_after_a_crash() {
    check(
        "
        given start | take | fail-task | wait 1s | take | fail-task | wait 2s | take | signal hello
        crash
        fail-task
          ~ WorkflowTaskAttemptFailed attempt 3: WorkflowWorkerUnhandledFailure
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        crash
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn activity_whose_start_was_not_durable_is_dispatched_again() {
    check(
        "
        given start | take | complete: activity a; activity b | run a
        crash
          > DispatchActivityTask a attempt 1
          > DispatchActivityTask b attempt 1
        run a
          ~ ActivityAttemptStarted a attempt 1
        done a
          7 ActivityTaskStarted a
          8 ActivityTaskCompleted a (started 7)
          9 WorkflowTaskScheduled
          > DispatchWorkflowTask 9 attempt 1 to main
        ",
    );
}

#[test]
fn activity_waits_for_its_retry_again() {
    check(
        "
        given start | take | complete: activity a | run a | err a | wait 1s | run a
        crash
        deadline
          = 1s
        done a
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn cancellation_of_a_lost_attempt_ends_it() {
    check(
        "
        given start | take | complete: activity a | run a
        crash
          > DispatchActivityTask a attempt 1
        given signal go | take
        complete: cancel-activity a
          9 WorkflowTaskCompleted
          10 ActivityTaskCancelRequested a
          11 ActivityTaskCanceled a (started 0)
          12 WorkflowTaskScheduled
          > DispatchWorkflowTask 12 attempt 1 to main
        ",
    );
}

#[test]
fn outbox_is_delivered_again() {
    check(
        "
        given start | take | complete: child c; child d; signal-external x; cancel-external y | child-started d | take
        crash
          > StartChild c by request run-1:5
          > SignalExternal x by request run-1:7
          > CancelExternal y by request run-1:8
        ",
    );
}

#[test]
fn answered_outbox_is_not() {
    check(
        "
        given start | take | complete: child c; signal-external x | signal go | take | child-not-started c | signal-delivered x
        crash
        ",
    );
}

#[test]
fn closed_run_has_nothing_to_deliver_to_a_child_that_its_last_turn_left_behind() {
    check(
        "
        given start | take | complete: child a; child b policy=abandon; return
        crash
          > StartChild b by request run-1:6
        ",
    );
}

#[test]
fn closed_run_has_the_close_policy_to_deliver_to_its_children() {
    check(
        "
        given start | take | complete: activity a; child c; child d | child-started c | terminate
        crash
          > StartChild d by request run-1:7
          > CloseChild c Terminate
          > CloseChild d Terminate
        ",
    );
}
