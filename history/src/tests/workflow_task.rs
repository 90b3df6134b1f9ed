//! Workflow tasks: one at a time, and what follows when one fails.

use super::story::check;

#[test]
fn workflow_task_that_asks_for_nothing_leaves_the_run_waiting() {
    check(
        "
        given start
        take
          3 WorkflowTaskStarted
        complete
          4 WorkflowTaskCompleted
        deadline
          = none
        ",
    );
}

#[test]
fn task_is_handed_out_once() {
    check(
        "
        given start
        take
          3 WorkflowTaskStarted
        take
          ! TASK_ALREADY_STARTED
        ",
    );
}

#[test]
fn answer_of_another_attempt_is_refused() {
    check(
        "
        given start
        complete
          ! WORKFLOW_TASK_NOT_FOUND
        given take
        fail-task attempt=2
          ! WORKFLOW_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn failed_task_is_tried_again_after_a_second_without_events() {
    check(
        "
        given start | take
        fail-task
          4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure
        take
          ! WORKFLOW_TASK_NOT_FOUND
        deadline
          = 1s
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        fail-task
          ~ WorkflowTaskAttemptFailed attempt 2: WorkflowWorkerUnhandledFailure
        deadline
          = 3s
        ",
    );
}

#[test]
fn waits_between_attempts_double_up_to_a_minute() {
    check(
        "
        given start | take
        fail-task
          4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        given take | fail-task
        deadline
          = 3s
        wait 2s
          ~ WorkflowTaskAttemptScheduled attempt 3
          > DispatchWorkflowTask 5 attempt 3 to main
        given take | fail-task
        deadline
          = 7s
        wait 4s
          ~ WorkflowTaskAttemptScheduled attempt 4
          > DispatchWorkflowTask 5 attempt 4 to main
        given take | fail-task | wait 8s | take | fail-task | wait 16s | take | fail-task | wait 32s | take | fail-task
        deadline
          = 123s
        wait 60s
          ~ WorkflowTaskAttemptScheduled attempt 8
          > DispatchWorkflowTask 5 attempt 8 to main
        given take | fail-task
        deadline
          = 183s
        ",
    );
}

#[test]
fn attempt_that_completes_at_last_writes_its_events_together() {
    check(
        "
        given start | take | fail-task | wait 1s | take
        complete: timer t 5s
          5 WorkflowTaskScheduled attempt 2
          6 WorkflowTaskStarted
          7 WorkflowTaskCompleted
          8 TimerStarted t 5s
        ",
    );
}

#[test]
fn new_event_makes_a_normal_task_of_a_waiting_attempt() {
    check(
        "
        given start | take | fail-task
        signal hello
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        deadline
          = none
        take
          7 WorkflowTaskStarted
        ",
    );
}

#[test]
fn new_event_during_a_later_attempt_is_buffered_and_makes_the_next_a_normal_one() {
    check(
        "
        given start | take | fail-task | wait 1s | take
        signal hello
          ~ Buffered WorkflowExecutionSignaled hello
        fail-task
          ~ WorkflowTaskAttemptFailed attempt 2: WorkflowWorkerUnhandledFailure
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled
          > DispatchWorkflowTask 6 attempt 1 to main
        ",
    );
}

#[test]
fn worker_that_does_not_answer_times_out_and_another_attempt_follows_at_once() {
    check(
        "
        given start | take
        wait 10s
          4 WorkflowTaskTimedOut StartToClose
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        wait 10s
          ~ WorkflowTaskAttemptFailed attempt 2: StartToClose
        deadline
          = 22s
        ",
    );
}

#[test]
fn late_answer_is_refused() {
    check(
        "
        given start | take | wait 10s
        complete
          ! WORKFLOW_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn time_for_an_attempt_grows_from_the_fourth_on() {
    check(
        "
        given start | take | fail-task | wait 1s | take | fail-task | wait 2s | take | fail-task | wait 4s | take
        deadline
          = 22s
        ",
    );
}

#[test]
fn lost_worker_counts_as_a_timeout() {
    check(
        "
        given start | take
        lose-task
          4 WorkflowTaskTimedOut StartToClose
          > DispatchWorkflowTask 5 attempt 2 to main
        lose-task
          ! WORKFLOW_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn sticky_task_goes_to_the_worker_s_own_queue() {
    check(
        "
        given start | take | complete sticky:
        signal hello
          5 WorkflowExecutionSignaled hello
          6 WorkflowTaskScheduled sticky
          > DispatchWorkflowTask 6 attempt 1 to its-own
        deadline
          = 10s
        take
          7 WorkflowTaskStarted
        complete
          8 WorkflowTaskCompleted
        ",
    );
}

#[test]
fn sticky_task_that_nobody_takes_goes_to_the_normal_queue() {
    check(
        "
        given start | take | complete sticky: | signal hello
        wait 10s
          7 WorkflowTaskTimedOut ScheduleToStart
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        deadline
          = none
        ",
    );
}

#[test]
fn failure_of_a_sticky_worker_is_tried_on_the_normal_queue_at_once() {
    check(
        "
        given start | take | complete sticky: | signal hello | take
        fail-task
          8 WorkflowTaskFailed WorkflowWorkerUnhandledFailure
          9 WorkflowTaskScheduled
          > DispatchWorkflowTask 9 attempt 1 to main
        take
          10 WorkflowTaskStarted
        fail-task
          11 WorkflowTaskFailed WorkflowWorkerUnhandledFailure
        ",
    );
}

#[test]
fn completion_without_stickiness_ends_it() {
    check(
        "
        given start | take | complete sticky: | signal hello | take | complete
        signal hello
          9 WorkflowExecutionSignaled hello
          10 WorkflowTaskScheduled
          > DispatchWorkflowTask 10 attempt 1 to main
        ",
    );
}

#[test]
fn worker_may_ask_for_another_task_at_once() {
    check(
        "
        given start | take
        complete force:
          4 WorkflowTaskCompleted
          5 WorkflowTaskScheduled
          > DispatchWorkflowTask 5 attempt 1 to main
        take
          6 WorkflowTaskStarted
        complete sticky force:
          7 WorkflowTaskCompleted
          8 WorkflowTaskScheduled sticky
          > DispatchWorkflowTask 8 attempt 1 to its-own
        ",
    );
}

#[test]
fn command_that_can_t_be_carried_out_takes_all_others_with_it() {
    check(
        "
        given start | take
        complete: timer t 5s; activity a; cancel-timer u
          4 WorkflowTaskFailed BadCancelTimerAttributes
          ! BadCancelTimerAttributes: no timer u is running
        ",
    );
}

#[test]
fn refused_answer_of_a_later_attempt_waits_longer() {
    check(
        "
        given start | take | fail-task | wait 1s | take
        complete: cancel-timer u
          ~ WorkflowTaskAttemptFailed attempt 2: BadCancelTimerAttributes
          ! BadCancelTimerAttributes: no timer u is running
        deadline
          = 3s
        ",
    );
}

#[test]
fn features_that_are_not_offered_are_named() {
    check(
        "
        given start | take
        complete: message
          4 WorkflowTaskFailed FeatureDisabled
          ! FeatureDisabled: ProtocolMessage: updates are not offered here; use a signal
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        complete: nexus
          ~ WorkflowTaskAttemptFailed attempt 2: FeatureDisabled
          ! FeatureDisabled: RequestCancelNexusOperation: Nexus is not offered here; use an activity or a child workflow
        ",
    );
}

#[test]
fn closing_command_is_the_last() {
    check(
        "
        given start | take
        complete: return; timer t 5s
          4 WorkflowTaskFailed BadCompleteWorkflowExecutionAttributes
          ! BadCompleteWorkflowExecutionAttributes: CompleteWorkflowExecution: it closes the run, so it must be the last command
        ",
    );
}
