//! Signals.

use super::story::check;

#[test]
fn signal_makes_a_workflow_task() {
    check(
        "
        given start | take | complete
        signal hello
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn signals_before_the_task_starts_share_it() {
    check(
        "
        given start
        signal one
          3 WorkflowExecutionSignaled one
        signal two
          4 WorkflowExecutionSignaled two
        take
          5 WorkflowTaskStarted
        ",
    );
}

#[test]
fn repeated_request_has_no_effect() {
    check(
        "
        given start | take | complete | signal hello id=a
        signal hello id=a
        signal hello id=b
          7 WorkflowExecutionSignaled hello
        ",
    );
}

#[test]
fn repeated_request_has_been_heard_though_the_run_has_closed() {
    check(
        "
        given start | take | complete | signal hello id=a | terminate
        signal hello id=a
        signal hello id=b
          ! WORKFLOW_CLOSED
        ",
    );
}

#[test]
fn request_is_remembered_while_it_is_buffered() {
    check(
        "
        given start | take | signal hello id=a
        signal hello id=a
        complete
          4 WorkflowTaskCompleted
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        signal hello id=a
        ",
    );
}

#[test]
fn signals_without_a_request_id_are_all_taken() {
    check(
        "
        given start | take | complete | signal hello
        signal hello
          7 WorkflowExecutionSignaled hello
        ",
    );
}

#[test]
fn closed_run_takes_no_signal() {
    check(
        "
        given start | take | complete: return
        signal hello
          ! WORKFLOW_CLOSED
        ",
    );
}

#[test]
fn signal_that_is_too_large_is_refused() {
    check(
        "
        given start
        signal hello size=2097200
          ! INVALID_ARGUMENT input: has 2097212 bytes; the most is 2097152
        ",
    );
}
