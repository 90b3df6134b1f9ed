//! How runs close.

use super::story::check;

#[test]
fn run_completes() {
    check(
        "
        given start | take
        complete: return
          4 WorkflowTaskCompleted
          5 WorkflowExecutionCompleted
        ",
    );
}

#[test]
fn run_fails() {
    check(
        "
        given start | take
        complete: fail
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed RetryPolicyNotSet
        ",
    );
}

#[test]
fn run_ends_as_canceled() {
    check(
        "
        given start | take | complete | cancel id=a | take
        complete: end-canceled
          8 WorkflowTaskCompleted
          9 WorkflowExecutionCanceled
        ",
    );
}

#[test]
fn cancellation_is_requested_once() {
    check(
        "
        given start | take | complete
        cancel id=a
          5 WorkflowExecutionCancelRequested
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        cancel id=a
        cancel id=b
          ! CANCELLATION_ALREADY_REQUESTED
        cancel
          ! CANCELLATION_ALREADY_REQUESTED
        ",
    );
}

#[test]
fn repeated_cancellation_has_been_heard_though_the_run_has_closed() {
    check(
        "
        given start | take | complete | cancel id=a | terminate
        cancel id=a
        cancel id=b
          ! WORKFLOW_CLOSED
        cancel
          ! WORKFLOW_CLOSED
        ",
    );
}

#[test]
fn termination_asks_nobody() {
    check(
        "
        given start | take | complete: activity a; activity b; timer t 5s; child c | run a
        terminate
          9 WorkflowExecutionTerminated (enough)
          > CancelActivity a attempt 1
          > CloseChild c Terminate
        deadline
          = none
        done a
          ! WORKFLOW_CLOSED
        ",
    );
}

#[test]
fn termination_of_a_scheduled_task_needs_no_failure() {
    check(
        "
        given start
        terminate
          3 WorkflowExecutionTerminated (enough)
        ",
    );
}

#[test]
fn termination_fails_the_task_under_way() {
    check(
        "
        given start | take
        terminate
          4 WorkflowTaskFailed ForceCloseCommand
          5 WorkflowExecutionTerminated (enough)
        ",
    );
}

#[test]
fn termination_of_a_later_attempt_leaves_a_note() {
    check(
        "
        given start | take | fail-task | wait 1s | take
        terminate
          ~ WorkflowTaskAttemptFailed attempt 2: ForceCloseCommand
          5 WorkflowExecutionTerminated (enough)
        ",
    );
}

#[test]
fn run_timeout_closes_the_run() {
    check(
        "
        given start run=5s | take | complete: activity a | run a
        wait 5s
          6 WorkflowExecutionTimedOut RetryPolicyNotSet
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn run_timeout_fails_the_task_under_way() {
    check(
        "
        given start run=5s | take | signal hello
        wait 5s
          4 WorkflowTaskFailed ForceCloseCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowExecutionTimedOut RetryPolicyNotSet
        ",
    );
}

#[test]
fn execution_timeout_is_never_retried() {
    check(
        "
        given start execution=5s attempts=0 | take | complete
        wait 5s
          5 WorkflowExecutionTimedOut Timeout
        ",
    );
}

#[test]
fn closed_run_refuses_everything() {
    check(
        "
        given start | take | complete: activity a; child c; timer t 5s | run a | terminate
        take
          ! WORKFLOW_CLOSED
        complete
          ! WORKFLOW_CLOSED
        fail-task
          ! WORKFLOW_CLOSED
        lose-task
          ! WORKFLOW_CLOSED
        signal hello
          ! WORKFLOW_CLOSED
        cancel
          ! WORKFLOW_CLOSED
        terminate
          ! WORKFLOW_CLOSED
        run a
          ! WORKFLOW_CLOSED
        done a
          ! WORKFLOW_CLOSED
        err a
          ! WORKFLOW_CLOSED
        canceled a
          ! WORKFLOW_CLOSED
        beat a
          ! WORKFLOW_CLOSED
        lose a
          ! WORKFLOW_CLOSED
        child-started c
          ! WORKFLOW_CLOSED
        child-closed c completed
          ! WORKFLOW_CLOSED
        signal-delivered x
          ! WORKFLOW_CLOSED
        due
        wait 60s
        ",
    );
}

#[test]
fn started_activities_are_told_when_the_run_closes() {
    check(
        "
        given start | take | complete: activity a; activity b; activity c | run a | run b | signal go | take | done b
        complete
          11 WorkflowTaskCompleted
          12 ActivityTaskStarted b
          13 ActivityTaskCompleted b (started 12)
          14 WorkflowTaskScheduled
          > DispatchWorkflowTask 14 attempt 1 to main
        take
          15 WorkflowTaskStarted
        complete: return
          16 WorkflowTaskCompleted
          17 WorkflowExecutionCompleted
          > CancelActivity a attempt 1
        ",
    );
}

#[test]
fn activity_that_the_same_turn_leaves_behind_is_not_dispatched() {
    check(
        "
        given start | take
        complete: activity a; timer t 1s; return
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a once 10s
          6 TimerStarted t 1s
          7 WorkflowExecutionCompleted
        ",
    );
}

#[test]
fn result_that_is_too_large_is_refused() {
    check(
        "
        given start | take
        complete: return size=2097200
          4 WorkflowTaskFailed PayloadsTooLarge
          ! PayloadsTooLarge: result: has 2097212 bytes; the most is 2097152
        ",
    );
}

#[test]
fn answer_whose_commands_carry_too_much_together_is_refused() {
    check(
        "
        given start | take
        complete: activity a size=1500000; activity b size=1500000; activity c size=1500000
          4 WorkflowTaskFailed RequestTooLarge
          ! RequestTooLarge: its 3 commands carry 4500036 bytes; the most is 4194304: ask for less at once, or pass references to data that is stored elsewhere
        ",
    );
}
