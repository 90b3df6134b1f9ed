//! A run starts; and what a start means for an id that has been used before.

use std::sync::LazyLock;

use super::story::{RUN, Story, check, request};
use crate::{
    Status,
    decide::{Existing, OnExisting, StartWorkflow, start, start_on_existing},
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    ids::{Namespace, RequestId, WorkflowId},
    time::Timestamp,
};

#[test]
fn run_starts_with_two_events() {
    check(
        "
        start
          1 WorkflowExecutionStarted w
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        ",
    );
}

#[test]
fn start_delay_holds_the_first_workflow_task_back() {
    check(
        "
        start delay=5s
          1 WorkflowExecutionStarted w backoff 5s
        deadline
          = 5s
        take
          ! WORKFLOW_TASK_NOT_FOUND
        wait 5s
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        take
          3 WorkflowTaskStarted
        ",
    );
}

#[test]
fn signal_during_the_delay_is_recorded_and_does_not_end_it() {
    check(
        "
        given start delay=5s
        signal hello
          2 WorkflowExecutionSignaled hello
        deadline
          = 5s
        wait 5s
          3 WorkflowTaskScheduled
          > DispatchWorkflowTask 3 attempt 1 to main
        ",
    );
}

#[test]
fn cancellation_ends_the_delay() {
    check(
        "
        given start delay=5s
        cancel
          2 WorkflowExecutionCancelRequested
          3 WorkflowTaskScheduled
          > DispatchWorkflowTask 3 attempt 1 to main
        take
          4 WorkflowTaskStarted
        ",
    );
}

#[test]
fn timeouts_are_filled_and_counted_from_the_end_of_the_delay() {
    check(
        "
        start delay=5s run=60s execution=20s
          1 WorkflowExecutionStarted w run-timeout 20s backoff 5s expires 25s
        deadline
          = 5s
        wait 25s
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
          3 WorkflowExecutionTimedOut Timeout
        ",
    );
}

#[test]
fn workflow_task_timeout_is_ten_seconds_unless_told() {
    check(
        "
        given start | take
        deadline
          = 10s
        ",
    );
}

#[test]
fn workflow_task_timeout_is_at_most_two_minutes_and_the_run_timeout() {
    check(
        "
        given start task=500s | take
        deadline
          = 120s
        ",
    );
}

#[test]
fn cron_is_refused() {
    check(
        "
        start cron=*
          ! INVALID_ARGUMENT cron_schedule: cron is not offered here; use a schedule
        ",
    );
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    check(
        "
        start size=2097200
          ! INVALID_ARGUMENT input: has 2097212 bytes; the most is 2097152
        start delay=900000h
          ! INVALID_ARGUMENT start_delay: 3240000000000 ms is too long; the most is 3162240000000 ms
        start run=900000h
          ! INVALID_ARGUMENT workflow_run_timeout: 3240000000000 ms is too long; the most is 3162240000000 ms
        ",
    );
}

/// What a start by another request means: by status of the last run, reuse policy and conflict policy.
#[test]
fn policies_say_what_a_used_id_means() {
    use WorkflowIdConflictPolicy::{Fail, TerminateExisting, UseExisting};
    use WorkflowIdReusePolicy::{
        AllowDuplicate, AllowDuplicateFailedOnly, RejectDuplicate, TerminateIfRunning,
    };
    const OPEN: &[Status] = &[Status::Running];
    const UNHAPPY: &[Status] = &[
        Status::Failed,
        Status::Canceled,
        Status::Terminated,
        Status::TimedOut,
    ];
    const HAPPY: &[Status] = &[Status::Completed, Status::ContinuedAsNew];
    let new = Ok(OnExisting::StartNew);
    let existing = Ok(OnExisting::UseExisting);
    let terminate = Ok(OnExisting::TerminateThenStart);
    let running = Err("WORKFLOW_ALREADY_STARTED");
    let reuse = Err("WORKFLOW_ID_REUSE_REFUSED");
    let table = [
        (OPEN, AllowDuplicate, Fail, running),
        (OPEN, AllowDuplicate, UseExisting, existing),
        (OPEN, AllowDuplicate, TerminateExisting, terminate),
        (OPEN, RejectDuplicate, Fail, running),
        (OPEN, AllowDuplicateFailedOnly, UseExisting, existing),
        (OPEN, TerminateIfRunning, Fail, terminate),
        (UNHAPPY, AllowDuplicate, Fail, new),
        (UNHAPPY, AllowDuplicateFailedOnly, Fail, new),
        (UNHAPPY, TerminateIfRunning, Fail, new),
        (UNHAPPY, RejectDuplicate, UseExisting, reuse),
        (HAPPY, AllowDuplicate, Fail, new),
        (HAPPY, TerminateIfRunning, Fail, new),
        (HAPPY, AllowDuplicateFailedOnly, Fail, reuse),
        (HAPPY, RejectDuplicate, Fail, reuse),
    ];
    for (statuses, reuse_policy, conflict_policy, expected) in table {
        for status in statuses {
            let request = StartWorkflow {
                reuse_policy,
                conflict_policy,
                ..request("r2")
            };
            let found = start_on_existing(&existing_run(*status), &request);
            assert_eq!(
                found.map_err(|rejection| rejection.code()),
                expected,
                "{status:?} {reuse_policy:?} {conflict_policy:?}"
            );
        }
    }
}

#[test]
fn repeated_start_request_finds_its_run_whatever_became_of_it() {
    for status in [Status::Running, Status::Completed, Status::Failed] {
        let mut story = Story::new();
        story.ask("start");
        let existing = Existing {
            heard: story.execution().start_heard(&RequestId::known("r1")),
            ..existing_run(status)
        };
        assert_eq!(
            start_on_existing(&existing, &request("r1")),
            Ok(OnExisting::Repeated {
                run_id: RUN,
                began: true
            })
        );
    }
}

#[test]
fn contradicting_policies_are_refused() {
    let request = StartWorkflow {
        reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
        conflict_policy: WorkflowIdConflictPolicy::TerminateExisting,
        ..request("r1")
    };
    let refused = start(&Namespace::known("default"), RUN, &request, Timestamp(0)).unwrap_err();
    assert_eq!(refused.code(), "INVALID_ARGUMENT");
}

fn existing_run(status: Status) -> Existing<'static> {
    static ID: LazyLock<WorkflowId> = LazyLock::new(|| WorkflowId::known("w"));
    Existing {
        workflow_id: &ID,
        run_id: RUN,
        status,
        heard: None,
    }
}

#[test]
fn a_key_of_the_stored_form_is_no_key_of_a_user() {
    let fact = |key: &str| {
        let value = crate::Payload::json(&1).unwrap();
        std::collections::BTreeMap::from([(key.to_owned(), value)])
    };
    let starts = |key: &str| {
        let start_with = |change: fn(&mut StartWorkflow, crate::event::Memo)| {
            let mut request = request("r");
            change(&mut request, fact(key));
            start(&Namespace::known("default"), RUN, &request, Timestamp(0))
        };
        [
            start_with(|request, facts| request.memo = facts),
            start_with(|request, facts| request.header = facts),
            start_with(|request, facts| request.search_attributes = facts),
        ]
    };
    for key in ["$p", "$b", "$x"] {
        for refused in starts(key) {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains(&format!("has the key {key}")), "{said}");
        }
    }
    for key in ["$price", "$", "p", "$body"] {
        assert!(starts(key).iter().all(Result::is_ok), "{key}");
    }
}

#[test]
fn a_command_with_a_key_of_the_stored_form_fails_the_task() {
    check(
        "
        given start | take
        complete: memo $p=1
          4 WorkflowTaskFailed BadModifyWorkflowPropertiesAttributes
          ! BadModifyWorkflowPropertiesAttributes: upserted_memo: has the key $p, which is reserved; choose another
        ",
    );
    check(
        "
        given start | take
        complete: upsert $x=1
          4 WorkflowTaskFailed BadSearchAttributes
          ! BadSearchAttributes: search_attributes: has the key $x, which is reserved; choose another
        ",
    );
}
