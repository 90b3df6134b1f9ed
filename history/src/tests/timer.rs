//! Timers.

use super::story::check;

#[test]
fn timer_fires_at_its_started_time_plus_its_duration() {
    check(
        "
        given start | take
        complete: timer t 5s
          4 WorkflowTaskCompleted
          5 TimerStarted t 5s
        deadline
          = 5s
        wait 4999ms
        wait 1ms
          6 TimerFired t
          7 WorkflowTaskScheduled
          > DispatchWorkflowTask 7 attempt 1 to main
        deadline
          = none
        ",
    );
}

#[test]
fn late_timer_fires_at_once_when_the_clock_is_asked() {
    check(
        "
        given start | take | complete: timer t 5s; timer u 3s
        wait 100s
          7 TimerFired u
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          9 TimerFired t
        ",
    );
}

#[test]
fn canceled_timer_never_fires() {
    check(
        "
        given start | take | complete: timer t 5s | signal go | take
        complete: cancel-timer t
          9 WorkflowTaskCompleted
          10 TimerCanceled t
        deadline
          = none
        wait 60s
        ",
    );
}

#[test]
fn timer_started_and_canceled_in_one_turn_leaves_two_events() {
    check(
        "
        given start | take
        complete: timer t 5s; cancel-timer t; timer t 6s
          4 WorkflowTaskCompleted
          5 TimerStarted t 5s
          6 TimerCanceled t
          7 TimerStarted t 6s
        deadline
          = 6s
        ",
    );
}

#[test]
fn running_timers_have_their_own_ids() {
    check(
        "
        given start | take
        complete: timer t 5s; timer t 5s
          4 WorkflowTaskFailed StartTimerDuplicateId
          ! StartTimerDuplicateId: a timer t is running; give each running one its own id
        ",
    );
}

#[test]
fn id_of_a_timer_that_fired_may_be_used_again() {
    check(
        "
        given start | take | complete: timer t 5s | wait 5s | take
        complete: timer t 5s
          9 WorkflowTaskCompleted
          10 TimerStarted t 5s
        ",
    );
}

#[test]
fn timer_takes_at_least_a_millisecond_and_at_most_a_century() {
    check(
        "
        given start | take
        complete: timer t 0s
          4 WorkflowTaskFailed BadStartTimerAttributes
          ! BadStartTimerAttributes: start_to_fire_timeout of timer t: must be at least 1 ms
        wait 1s
          ~ WorkflowTaskAttemptScheduled attempt 2
          > DispatchWorkflowTask 5 attempt 2 to main
        take
          ~ WorkflowTaskAttemptStarted attempt 2
        complete: timer t 900000h
          ~ WorkflowTaskAttemptFailed attempt 2: BadStartTimerAttributes
          ! BadStartTimerAttributes: start_to_fire_timeout of timer t: 3240000000000 ms is too long; the most is 3162240000000 ms
        ",
    );
}

#[test]
fn only_a_running_timer_can_be_canceled() {
    check(
        "
        given start | take
        complete: cancel-timer t
          4 WorkflowTaskFailed BadCancelTimerAttributes
          ! BadCancelTimerAttributes: no timer t is running
        ",
    );
}

#[test]
fn timer_that_fires_while_a_workflow_task_is_under_way_is_buffered() {
    check(
        "
        given start | take | complete: timer t 5s | signal go | take
        wait 5s
          ~ Buffered TimerFired t
        deadline
          = 10s
        complete
          9 WorkflowTaskCompleted
          10 TimerFired t
          11 WorkflowTaskScheduled
          > DispatchWorkflowTask 11 attempt 1 to main
        ",
    );
}

#[test]
fn canceling_a_timer_takes_its_buffered_firing_away() {
    check(
        "
        given start | take | complete: timer t 5s | signal go | take | wait 5s
        complete: cancel-timer t
          9 WorkflowTaskCompleted
          10 TimerCanceled t
        ",
    );
}

#[test]
fn run_may_close_when_the_only_buffered_event_is_taken_away() {
    check(
        "
        given start | take | complete: timer t 5s | signal go | take | wait 5s
        complete: cancel-timer t; return
          9 WorkflowTaskCompleted
          10 TimerCanceled t
          11 WorkflowExecutionCompleted
        ",
    );
}
