//! Activities: attempts, retries, heartbeats.

use super::story::{NEXT_RUN, Story, check};
use crate::{
    Execution, Failure, Payload, Payloads,
    decide::{self, Decision, FailActivityTask, HeartbeatActivity, StartActivityTask},
};

#[test]
fn activity_is_dispatched_when_it_is_scheduled() {
    check(
        "
        given start | take
        complete: activity a
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a once 10s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn started_event_is_written_with_the_end() {
    check(
        "
        given start | take | complete: activity a
        run a
          ~ ActivityAttemptStarted a attempt 1
        done a
          6 ActivityTaskStarted a
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn attempt_is_handed_out_once() {
    check(
        "
        given start | take | complete: activity a | run a
        run a
          ! TASK_ALREADY_STARTED
        run a attempt=2
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn end_of_an_attempt_is_taken_once() {
    check(
        "
        given start | take | complete: activity a | run a | done a
        done a
          ! ACTIVITY_TASK_NOT_FOUND
        err a
          ! ACTIVITY_TASK_NOT_FOUND
        beat a
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn end_of_an_attempt_counts_even_if_its_start_was_never_recorded() {
    check(
        "
        given start | take | complete: activity a
        done a
          6 ActivityTaskStarted a
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failed_attempt_is_retried_without_events() {
    check(
        "
        given start | take | complete: activity a | run a
        err a
          ~ ActivityAttemptFailed a attempt 1: Error, next at 1s
        deadline
          = 1s
        run a attempt=2
          ! ACTIVITY_TASK_NOT_FOUND
        wait 1s
          ~ ActivityAttemptScheduled a attempt 2
          > DispatchActivityTask a attempt 2
        run a
          ~ ActivityAttemptStarted a attempt 2
        err a
          ~ ActivityAttemptFailed a attempt 2: Error, next at 3s
        deadline
          = 3s
        wait 2s
          ~ ActivityAttemptScheduled a attempt 3
          > DispatchActivityTask a attempt 3
        given run a
        done a
          6 ActivityTaskStarted a attempt 3 after Error
          7 ActivityTaskCompleted a (started 6)
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn answer_of_an_attempt_before_is_refused() {
    check(
        "
        given start | take | complete: activity a | run a | err a | wait 1s
        done a attempt=1
          ! ACTIVITY_TASK_NOT_FOUND
        ",
    );
}

#[test]
fn attempts_are_counted() {
    check(
        "
        given start | take | complete: activity a attempts=2 | run a | err a | wait 1s | run a
        err a
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskFailed a (started 6): Error, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_that_says_so_is_final() {
    check(
        "
        given start | take | complete: activity a | run a
        err a final
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Error, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_of_a_listed_type_is_final() {
    check(
        "
        given start | take | complete: activity a attempts=0 never=Bad | run a
        err a type=Bad
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Bad, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn failure_may_name_the_time_of_the_next_attempt() {
    check(
        "
        given start | take | complete: activity a | run a
        err a delay=30s
          ~ ActivityAttemptFailed a attempt 1: Error, next at 30s
        deadline
          = 30s
        ",
    );
}

#[test]
fn retry_beyond_schedule_to_close_is_not_made() {
    check(
        "
        given start | take | complete: activity a all=3s | run a | err a | wait 1s | run a
        err a
          6 ActivityTaskStarted a attempt 2 after Error
          7 ActivityTaskFailed a (started 6): Error, Timeout
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn heartbeat_details_reach_the_next_attempt() {
    check(
        "
        given start | take | complete: activity a beat=5s | run a
        beat a details=7
          ~ ActivityHeartbeat a attempt 1
        deadline
          = 5s
        ",
    );
    let mut story = Story::new();
    for line in [
        "start",
        "take",
        "complete: activity a beat=5s",
        "run a",
        "beat a details=7",
        "err a",
    ] {
        story.ask(line);
    }
    let details = |story: &Story| {
        let activity = story.execution().activities().next().unwrap();
        (
            activity.attempt,
            activity.heartbeat_details.0[0].read::<i64>().unwrap(),
        )
    };
    assert_eq!(details(&story), (2, 7), "in memory");
    story.ask("crash");
    assert_eq!(details(&story), (2, 7), "read back");
    for line in ["wait 1s", "run a"] {
        story.ask(line);
    }
    assert_eq!(details(&story), (2, 7), "handed out again");
}

#[test]
fn heartbeat_that_is_too_large_fails_the_activity_at_once() {
    check(
        "
        given start | take | complete: activity a | run a
        beat a size=2097153
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): heartbeat details: has 2097165 bytes; the most is 2097152, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          ! INVALID_ARGUMENT heartbeat details: has 2097165 bytes; the most is 2097152
        ",
    );
}

#[test]
fn cancellation_that_says_too_much_fails_the_activity_at_once() {
    check(
        "
        given start | take | complete: activity a | run a | signal go | take | complete: cancel-activity a
        canceled a size=2097153
          11 ActivityTaskStarted a
          12 ActivityTaskFailed a (started 11): details: has 2097165 bytes; the most is 2097152, CancelRequested
          13 WorkflowTaskScheduled
          > DispatchWorkflowTask 13 attempt 1 to main
          ! INVALID_ARGUMENT details: has 2097165 bytes; the most is 2097152
        ",
    );
}

#[test]
fn two_pending_activities_have_two_ids() {
    check(
        "
        given start | take
        complete: activity a; activity a
          4 WorkflowTaskFailed ScheduleActivityDuplicateId
          ! ScheduleActivityDuplicateId: an activity a is pending; give each pending one its own id
        ",
    );
}

#[test]
fn id_of_an_activity_that_ended_may_be_used_again() {
    check(
        "
        given start | take | complete: activity a | run a | done a | take
        complete: activity a
          10 WorkflowTaskCompleted
          11 ActivityTaskScheduled a once 10s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn activity_needs_a_timeout() {
    check(
        "
        given start | take
        complete: activity a once=0s
          4 WorkflowTaskFailed BadScheduleActivityAttributes
          ! BadScheduleActivityAttributes: activity a has neither schedule_to_close_timeout nor start_to_close_timeout; give one
        ",
    );
}

#[test]
fn timeouts_are_filled_from_schedule_to_close() {
    check(
        "
        given start | take
        complete: activity a all=8s once=0s queued=20s beat=30s
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a all 8s queued 8s once 8s beat 8s
          > DispatchActivityTask a attempt 1
        ",
    );
}

#[test]
fn timeouts_are_filled_and_capped_by_the_run_timeout() {
    check(
        "
        given start run=30s | take
        complete: activity a; activity b all=100s once=50s
          4 WorkflowTaskCompleted
          5 ActivityTaskScheduled a all 30s queued 30s once 10s
          6 ActivityTaskScheduled b all 30s queued 30s once 30s
          > DispatchActivityTask a attempt 1
          > DispatchActivityTask b attempt 1
        ",
    );
}

#[test]
fn result_that_is_too_large_fails_the_activity() {
    check(
        "
        given start | take | complete: activity a | run a
        done a size=2097200
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): result: has 2097212 bytes; the most is 2097152, NonRetryableFailure
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
          ! INVALID_ARGUMENT result: has 2097212 bytes; the most is 2097152
        ",
    );
}

#[test]
fn failure_that_is_too_large_is_cut() {
    check(
        "
        given start | take | complete: activity a attempts=1 | run a
        err a size=2097200
          6 ActivityTaskStarted a
          7 ActivityTaskFailed a (started 6): Error, MaximumAttemptsReached
          8 WorkflowTaskScheduled
          > DispatchWorkflowTask 8 attempt 1 to main
        ",
    );
}

#[test]
fn million_attempts_take_no_more_room_than_a_few() {
    let mut story = Story::new();
    for line in ["start", "take", "complete: activity a"] {
        story.ask(line);
    }
    let mut now = story.now;
    let execution = story.execution_mut();
    let scheduled_event_id = execution.activities().next().unwrap().scheduled_event_id();
    let first_failed_at = now;
    let mut memory_bytes = 0;
    for attempt in 1..=1_000_000 {
        let start = StartActivityTask {
            scheduled_event_id,
            attempt,
            identity: None,
        };
        let beat = HeartbeatActivity {
            scheduled_event_id,
            attempt,
            details: Payloads::one(Payload::json(&attempt).unwrap()),
            identity: None,
        };
        let mut failure = Failure::application("not yet", "Polling", false);
        if attempt % 1000 == 0 {
            failure.stack_trace = "x".repeat(100_000);
        }
        let fail = FailActivityTask {
            scheduled_event_id,
            attempt,
            failure,
            identity: None,
        };
        let carry_out = |execution: &mut Execution, decision: Decision| {
            for record in decision.records {
                assert!(!execution.logs(&record), "{}", record.name());
                execution.apply(&record).unwrap();
            }
        };
        let decision = decide::start_activity_task(execution, &start, now).unwrap();
        carry_out(execution, decision);
        let decision = decide::heartbeat_activity(execution, &beat, now).unwrap();
        carry_out(execution, decision);
        let decision = decide::fail_activity_task(execution, &fail, now).unwrap();
        carry_out(execution, decision);
        now = execution.next_deadline().unwrap();
        let decision = decide::fire_due(execution, NEXT_RUN, now);
        carry_out(execution, decision);
        memory_bytes = memory_bytes.max(execution.memory_bytes());
    }
    assert!(memory_bytes < 10_000, "{memory_bytes}");
    let kept = execution.attempts(scheduled_event_id).unwrap();
    let kept_bytes = serde_json::to_string(&kept).unwrap().len();
    assert!(kept_bytes < 5000, "{kept_bytes}");
    let read = story.read_back([kept]);
    let activity = read.activities().next().unwrap();
    assert_eq!(activity.attempt, 1_000_001);
    let last = activity.last_failure.as_ref().unwrap();
    assert_eq!(last.failing_since(), first_failed_at);
    assert_eq!(
        activity.heartbeat_details.0[0].read::<u32>().unwrap(),
        1_000_000
    );
}
