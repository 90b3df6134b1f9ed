//! Children, as their parent sees them.

use super::story::check;

#[test]
fn child_is_started_by_a_request_named_after_its_event() {
    check(
        "
        given start | take
        complete: child c
          4 WorkflowTaskCompleted
          5 StartChildWorkflowExecutionInitiated c
          > StartChild c by request run-1:5
        ",
    );
}

#[test]
fn child_starts_and_returns() {
    check(
        "
        given start | take | complete: child c
        child-started c
          6 ChildWorkflowExecutionStarted c
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        take
          8 WorkflowTaskStarted
        complete
          9 WorkflowTaskCompleted
        child-closed c completed
          10 ChildWorkflowExecutionCompleted c (started 6)
          11 WorkflowTaskScheduled
          > DispatchWorkflowTask 11 attempt 1 to main
        ",
    );
}

#[test]
fn child_that_failed() {
    check(
        "
        given start | take | complete: child c | child-started c
        child-closed c failed
          8 ChildWorkflowExecutionFailed c (started 6)
        ",
    );
}

#[test]
fn child_that_was_canceled() {
    check(
        "
        given start | take | complete: child c | child-started c
        child-closed c canceled
          8 ChildWorkflowExecutionCanceled c (started 6)
        ",
    );
}

#[test]
fn child_that_timed_out() {
    check(
        "
        given start | take | complete: child c | child-started c
        child-closed c timed-out
          8 ChildWorkflowExecutionTimedOut c (started 6)
        ",
    );
}

#[test]
fn child_that_was_terminated() {
    check(
        "
        given start | take | complete: child c | child-started c
        child-closed c terminated
          8 ChildWorkflowExecutionTerminated c (started 6)
        ",
    );
}

#[test]
fn close_that_comes_first_tells_of_the_start() {
    check(
        "
        given start | take | complete: child c
        child-closed c completed
          6 ChildWorkflowExecutionStarted c
          7 ChildWorkflowExecutionCompleted c (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        child-started c
        ",
    );
}

#[test]
fn answers_are_taken_once() {
    check(
        "
        given start | take | complete: child c | child-started c
        child-started c
        child-not-started c
        child-closed c completed
          8 ChildWorkflowExecutionCompleted c (started 6)
        child-closed c completed
        ",
    );
}

#[test]
fn child_that_could_not_start() {
    check(
        "
        given start | take | complete: child c
        child-not-started c
          6 StartChildWorkflowExecutionFailed c WorkflowAlreadyExists
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        child-started c
        ",
    );
}

#[test]
fn children_are_closed_as_their_policies_say() {
    check(
        "
        given start | take | complete: child a; child b policy=cancel; child c policy=abandon; child d | child-started a | child-started b | child-started c | take
        complete: return
          14 WorkflowTaskCompleted
          15 WorkflowExecutionCompleted
          > CloseChild a Terminate
          > CloseChild b RequestCancel
          > CloseChild d Terminate
        ",
    );
}

#[test]
fn child_that_the_same_turn_leaves_behind_need_not_start() {
    check(
        "
        given start | take
        complete: child a; child b policy=abandon; return
          4 WorkflowTaskCompleted
          5 StartChildWorkflowExecutionInitiated a
          6 StartChildWorkflowExecutionInitiated b
          7 WorkflowExecutionCompleted
          > StartChild b by request run-1:6
        ",
    );
}

#[test]
fn children_are_closed_when_the_run_goes_on_in_a_new_one() {
    check(
        "
        given start | take | complete: child a | child-started a | wait 5s | take
        complete: continue
          9 WorkflowTaskCompleted
          10 WorkflowExecutionContinuedAsNew Workflow
          > CloseChild a Terminate
          > StartNewRun Workflow attempt 1
        ",
    );
}

#[test]
fn child_of_bad_options_is_refused() {
    check(
        "
        given start | take
        complete: child c cron=*
          4 WorkflowTaskFailed BadStartChildExecutionAttributes
          ! BadStartChildExecutionAttributes: cron_schedule of child c: cron is not offered here; use a schedule
        ",
    );
}

#[test]
fn parent_hears_how_the_run_closed() {
    check(
        "
        given start parent | take
        complete: return
          4 WorkflowTaskCompleted
          5 WorkflowExecutionCompleted
          > NotifyParent parent of 5: Completed
        ",
    );
}

#[test]
fn parent_hears_of_a_termination() {
    check(
        "
        given start parent
        terminate
          3 WorkflowExecutionTerminated (enough)
          > NotifyParent parent of 5: Terminated
        ",
    );
}

#[test]
fn parent_hears_of_a_failure() {
    check(
        "
        given start parent | take
        complete: fail
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed RetryPolicyNotSet
          > NotifyParent parent of 5: Failed RetryPolicyNotSet
        ",
    );
}

#[test]
fn parent_hears_of_a_cancellation() {
    check(
        "
        given start parent | take
        complete: end-canceled
          4 WorkflowTaskCompleted
          5 WorkflowExecutionCanceled
          > NotifyParent parent of 5: Canceled
        ",
    );
}

#[test]
fn parent_hears_of_a_timeout() {
    check(
        "
        given start parent run=5s
        wait 5s
          3 WorkflowExecutionTimedOut RetryPolicyNotSet
          > NotifyParent parent of 5: TimedOut RetryPolicyNotSet
        ",
    );
}

#[test]
fn parent_does_not_hear_of_a_run_that_another_follows() {
    check(
        "
        given start parent attempts=3 | take
        complete: fail
          4 WorkflowTaskCompleted
          5 WorkflowExecutionFailed InProgress
          > StartNewRun Retry attempt 2 delay 1s after Error
        ",
    );
}

#[test]
fn closed_parent_takes_no_answer() {
    check(
        "
        given start | take | complete: child a policy=abandon | signal go | take | complete: return
        child-started a
          ! WORKFLOW_CLOSED
        ",
    );
}

#[test]
fn child_that_is_heard_of_by_its_end_started_as_its_first_run() {
    check(
        "
        given start | take | complete: child c
        child-closed c later
          6 ChildWorkflowExecutionStarted c
          7 ChildWorkflowExecutionCompleted c (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        crash
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}
