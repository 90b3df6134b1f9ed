//! What happens while a workflow task is under way waits, and then comes in an order that SDKs rely on.

use super::story::check;

#[test]
fn signal_waits_for_the_end_of_the_task() {
    check(
        "
        given start | take
        signal hello
          ~ Buffered WorkflowExecutionSignaled hello
        complete: timer t 5s
          4 WorkflowTaskCompleted
          5 TimerStarted t 5s
          6 WorkflowExecutionSignaled hello
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        ",
    );
}

#[test]
fn ends_of_activities_and_children_come_last() {
    check(
        "
        given start | take | complete: activity a; child c | run a | child-started c | take
        done a
          ~ Buffered ActivityTaskStarted a
          ~ Buffered ActivityTaskCompleted a (started 0)
        child-closed c completed
          ~ Buffered ChildWorkflowExecutionCompleted c (started 7)
        signal hello
          ~ Buffered WorkflowExecutionSignaled hello
        cancel
          ~ Buffered WorkflowExecutionCancelRequested
        complete
          10 WorkflowTaskCompleted
          11 ActivityTaskStarted a
          12 WorkflowExecutionSignaled hello
          13 WorkflowExecutionCancelRequested
          14 ActivityTaskCompleted a (started 11)
          15 ChildWorkflowExecutionCompleted c (started 7)
          16 WorkflowTaskScheduled
          > DispatchWorkflowTask 16 attempt 1 to main
        ",
    );
}

#[test]
fn child_that_starts_and_closes_meanwhile_is_wired_together() {
    check(
        "
        given start | take | complete: child c | signal go | take
        child-started c
          ~ Buffered ChildWorkflowExecutionStarted c
        child-closed c completed
          ~ Buffered ChildWorkflowExecutionCompleted c (started 0)
        complete
          9 WorkflowTaskCompleted
          10 ChildWorkflowExecutionStarted c
          11 ChildWorkflowExecutionCompleted c (started 10)
          12 WorkflowTaskScheduled
          > DispatchWorkflowTask 12 attempt 1 to main
        ",
    );
}

#[test]
fn buffered_end_is_the_end() {
    check(
        "
        given start | take | complete: activity a; activity b | run a | run b | signal go | take | done a
        done a
          ! ACTIVITY_TASK_NOT_FOUND
        err a
          ! ACTIVITY_TASK_NOT_FOUND
        beat a
          ! ACTIVITY_TASK_NOT_FOUND
        run a
          ! ACTIVITY_TASK_NOT_FOUND
        deadline
          = 10s
        ",
    );
}

#[test]
fn id_of_an_activity_is_in_use_until_its_end_is_an_event() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | done a
        complete: activity a
          9 WorkflowTaskFailed ScheduleActivityDuplicateId
          10 ActivityTaskStarted a
          11 ActivityTaskCompleted a (started 10)
          12 WorkflowTaskScheduled
          > DispatchWorkflowTask 12 attempt 1 to main
          ! ScheduleActivityDuplicateId: an activity a is pending; give each pending one its own id
        ",
    );
}

#[test]
fn run_does_not_close_over_what_it_has_not_seen() {
    check(
        "
        given start | take | signal hello
        complete: return
          4 WorkflowTaskFailed UnhandledCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
          ! UnhandledCommand: CompleteWorkflowExecution: something arrived meanwhile that workflow code has not seen; run it again
        take
          7 WorkflowTaskStarted
        complete: return
          8 WorkflowTaskCompleted
          9 WorkflowExecutionCompleted
        ",
    );
}

#[test]
fn later_attempt_does_not_close_over_what_it_has_not_seen() {
    check(
        "
        given start | take | fail-task | wait 1s | take | signal hello
        complete: return
          ~ WorkflowTaskAttemptFailed attempt 2: UnhandledCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
          ! UnhandledCommand: CompleteWorkflowExecution: something arrived meanwhile that workflow code has not seen; run it again
        ",
    );
}

#[test]
fn failed_task_makes_events_of_what_waited() {
    check(
        "
        given start | take | signal hello
        fail-task
          4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn timed_out_task_makes_events_of_what_waited() {
    check(
        "
        given start | take | signal hello
        wait 10s
          4 WorkflowTaskTimedOut StartToClose
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn termination_makes_events_of_what_waited() {
    check(
        "
        given start | take | signal hello
        terminate
          4 WorkflowTaskFailed ForceCloseCommand
          5 WorkflowExecutionSignaled hello
          6 WorkflowExecutionTerminated (enough)
        ",
    );
}

#[test]
fn cancellation_is_seen_while_it_waits() {
    check(
        "
        given start | take | cancel id=a
        cancel id=a
        cancel id=b
          ! CANCELLATION_ALREADY_REQUESTED
        complete
          4 WorkflowTaskCompleted
          5 WorkflowExecutionCancelRequested
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn external_answers_wait_too() {
    check(
        "
        given start | take | complete: signal-external x; cancel-external y | signal go | take
        signal-delivered x
          ~ Buffered ExternalWorkflowExecutionSignaled x
        signal-delivered x
        cancel-failed y
          ~ Buffered RequestCancelExternalWorkflowExecutionFailed y ExternalWorkflowExecutionNotFound
        complete
          10 WorkflowTaskCompleted
          11 ExternalWorkflowExecutionSignaled x
          12 RequestCancelExternalWorkflowExecutionFailed y ExternalWorkflowExecutionNotFound
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
        ",
    );
}

#[test]
fn child_that_could_not_start_waits_too() {
    check(
        "
        given start | take | complete: child c | signal go | take
        child-not-started c
          ~ Buffered StartChildWorkflowExecutionFailed c WorkflowAlreadyExists
        child-closed c completed
        complete
          9 WorkflowTaskCompleted
          10 StartChildWorkflowExecutionFailed c WorkflowAlreadyExists
          11 WorkflowTaskScheduled
          > DispatchWorkflowTask 11 attempt 1 to main
        ",
    );
}
