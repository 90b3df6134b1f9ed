//! Signals and cancellations that a workflow sends to others.

use super::story::check;

#[test]
fn signal_to_another_is_sent_and_answered() {
    check(
        "
        given start | take
        complete: signal-external other
          4 WorkflowTaskCompleted
          5 SignalExternalWorkflowExecutionInitiated other
          > SignalExternal other by request run-1:5
        signal-delivered other
          6 ExternalWorkflowExecutionSignaled other
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        signal-delivered other
        ",
    );
}

#[test]
fn signal_that_did_not_arrive() {
    check(
        "
        given start | take | complete: signal-external other child-only
        signal-failed other
          6 SignalExternalWorkflowExecutionFailed other ExternalWorkflowExecutionNotFound
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn cancellation_of_another_is_sent_and_answered() {
    check(
        "
        given start | take
        complete: cancel-external other child-only
          4 WorkflowTaskCompleted
          5 RequestCancelExternalWorkflowExecutionInitiated other
          > CancelExternal other if a child by request run-1:5
        cancel-delivered other
          6 ExternalWorkflowExecutionCancelRequested other
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn cancellation_that_did_not_arrive() {
    check(
        "
        given start | take | complete: cancel-external other
        cancel-failed other
          6 RequestCancelExternalWorkflowExecutionFailed other ExternalWorkflowExecutionNotFound
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        cancel-failed other
        ",
    );
}

#[test]
fn answer_of_the_wrong_kind_changes_nothing() {
    check(
        "
        given start | take | complete: cancel-external other
        signal-delivered other
        ",
    );
}

#[test]
fn signal_outlives_the_run_that_sent_it() {
    check(
        "
        given start | take
        complete: signal-external other; return
          4 WorkflowTaskCompleted
          5 SignalExternalWorkflowExecutionInitiated other
          6 WorkflowExecutionCompleted
          > SignalExternal other by request run-1:5
        signal-delivered other
          ! WORKFLOW_CLOSED
        ",
    );
}
