//! Disagreements between code and history, as text.

use serde_json::json;

use super::*;

fn event(id: i64, kind: &str, attributes: serde_json::Value) -> Event {
    let mut attributes = attributes;
    attributes["workflow_task_completed_event_id"] = json!(4);
    serde_json::from_value(json!({ "id": id, "t": 0, "e": { kind: attributes } })).unwrap()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "json! is written at the call"
)]
fn command(kind: &str, attributes: serde_json::Value) -> Command {
    serde_json::from_value(json!({ kind: attributes })).unwrap()
}

fn activity(id: &str, activity_type: &str) -> Command {
    command(
        "ScheduleActivityTask",
        json!({
            "activity_id": id, "activity_type": activity_type, "task_queue": null, "header": {}, "input": [],
            "schedule_to_close_timeout": 0, "schedule_to_start_timeout": 0, "start_to_close_timeout": 1000,
            "heartbeat_timeout": 0, "retry_policy": null,
        }),
    )
}

fn timer(id: &str) -> Command {
    command(
        "StartTimer",
        json!({ "timer_id": id, "start_to_fire_timeout": 5 }),
    )
}

fn scheduled(event_id: i64, id: &str, activity_type: &str) -> Event {
    event(
        event_id,
        "ActivityTaskScheduled",
        json!({ "activity_id": id, "activity_type": activity_type, "task_queue": "q" }),
    )
}

fn timer_started(event_id: i64, id: &str) -> Event {
    event(
        event_id,
        "TimerStarted",
        json!({ "timer_id": id, "start_to_fire_timeout": 7 }),
    )
}

fn disagreement(commands: &[Command], events: &[Event]) -> String {
    compare(commands, events).unwrap_err().to_string()
}

/// Every command type and the event that it makes, with the same names.
#[expect(clippy::too_many_lines, reason = "a table")]
fn pairs() -> Vec<(Command, Event)> {
    let target = json!({ "namespace": "n", "workflow_id": "w" });
    let with = |more: serde_json::Value| {
        let mut all = target.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let failure = json!({ "message": "no", "info": { "Application": { "type": "T" } } });
    vec![
        (activity("1", "charge"), scheduled(5, "1", "charge")),
        (
            command(
                "RequestCancelActivityTask",
                json!({ "scheduled_event_id": 5 }),
            ),
            event(
                5,
                "ActivityTaskCancelRequested",
                json!({ "scheduled_event_id": 5 }),
            ),
        ),
        (timer("1"), timer_started(5, "1")),
        (
            command("CancelTimer", json!({ "timer_id": "1" })),
            event(
                5,
                "TimerCanceled",
                json!({ "timer_id": "1", "started_event_id": 5 }),
            ),
        ),
        (
            command("CompleteWorkflowExecution", json!({ "result": [] })),
            event(5, "WorkflowExecutionCompleted", json!({})),
        ),
        (
            command("FailWorkflowExecution", json!({ "failure": failure })),
            event(5, "WorkflowExecutionFailed", json!({ "failure": failure })),
        ),
        (
            command("CancelWorkflowExecution", json!({ "details": [] })),
            event(5, "WorkflowExecutionCanceled", json!({})),
        ),
        (
            command(
                "RequestCancelExternalWorkflowExecution",
                with(json!({ "run_id": null, "child_workflow_only": false, "reason": "" })),
            ),
            event(
                5,
                "RequestCancelExternalWorkflowExecutionInitiated",
                target.clone(),
            ),
        ),
        (
            command(
                "RecordMarker",
                json!({ "marker_name": "m", "details": {}, "header": {}, "failure": null }),
            ),
            event(5, "MarkerRecorded", json!({ "marker_name": "m" })),
        ),
        (
            command(
                "ContinueAsNewWorkflowExecution",
                json!({
                    "workflow_type": "w", "task_queue": null, "input": [], "workflow_run_timeout": 0,
                    "workflow_task_timeout": 0, "backoff_start_interval": 0, "retry_policy": null,
                    "initiator": "Workflow", "header": {}, "memo": {}, "search_attributes": {},
                }),
            ),
            event(
                5,
                "WorkflowExecutionContinuedAsNew",
                json!({
                    "new_execution_run_id": "01890000-0000-7000-8000-000000000000",
                    "workflow_type": "w", "task_queue": "q",
                }),
            ),
        ),
        (
            command(
                "StartChildWorkflowExecution",
                json!({
                    "namespace": null, "workflow_id": "w", "workflow_type": "t", "task_queue": null, "input": [],
                    "workflow_execution_timeout": 0, "workflow_run_timeout": 0, "workflow_task_timeout": 0,
                    "parent_close_policy": "Terminate", "workflow_id_reuse_policy": "AllowDuplicate",
                    "retry_policy": null, "cron_schedule": "", "header": {}, "memo": {}, "search_attributes": {},
                }),
            ),
            event(
                5,
                "StartChildWorkflowExecutionInitiated",
                with(json!({ "workflow_type": "t", "task_queue": "q" })),
            ),
        ),
        (
            command(
                "SignalExternalWorkflowExecution",
                with(json!({
                    "run_id": null, "signal_name": "s", "input": [], "child_workflow_only": false, "header": {},
                })),
            ),
            event(
                5,
                "SignalExternalWorkflowExecutionInitiated",
                with(json!({ "signal_name": "s" })),
            ),
        ),
        (
            command(
                "UpsertWorkflowSearchAttributes",
                json!({ "search_attributes": {} }),
            ),
            event(5, "UpsertWorkflowSearchAttributes", json!({})),
        ),
        (
            command("ModifyWorkflowProperties", json!({ "upserted_memo": {} })),
            event(5, "WorkflowPropertiesModified", json!({})),
        ),
        (
            command(
                "ScheduleNexusOperation",
                json!({
                    "endpoint": "e", "service": "s", "operation": "o", "input": [],
                    "schedule_to_close_timeout": 0,
                }),
            ),
            event(
                5,
                "NexusOperationScheduled",
                json!({ "endpoint": "e", "service": "s", "operation": "o" }),
            ),
        ),
        (
            command(
                "RequestCancelNexusOperation",
                json!({ "scheduled_event_id": 5 }),
            ),
            event(
                5,
                "NexusOperationCancelRequested",
                json!({ "scheduled_event_id": 5 }),
            ),
        ),
    ]
}

#[test]
fn every_command_agrees_with_its_own_event_and_with_no_other() {
    let pairs = pairs();
    for (i, (command, _)) in pairs.iter().enumerate() {
        for (j, (_, event)) in pairs.iter().enumerate() {
            let outcome = compare([command], [event]);
            assert_eq!(
                outcome.is_ok(),
                i == j,
                "{} against {}: {outcome:?}",
                command.name(),
                event.kind.name()
            );
        }
    }
}

#[test]
fn a_command_is_named_after_the_event_it_makes() {
    for (command, event) in pairs() {
        let ask = Ask::of_command(&command).unwrap();
        assert!(ask.to_string().starts_with(event.kind.name()), "{ask}");
    }
}

#[test]
fn the_first_disagreement_names_event_expected_and_found() {
    assert_eq!(
        disagreement(
            &[activity("1", "refund"), timer("9")],
            &[scheduled(5, "1", "charge"), timer_started(6, "1")],
        ),
        "event 5: the history has ActivityTaskScheduled of `charge` with id 1, \
         but the code asked for ActivityTaskScheduled of `refund` with id 1"
    );
    assert_eq!(
        disagreement(
            &[activity("1", "charge"), timer("9")],
            &[scheduled(5, "1", "charge"), timer_started(6, "1")],
        ),
        "event 6: the history has TimerStarted with id 1, but the code asked for TimerStarted with id 9"
    );
}

#[test]
fn a_missing_and_a_surplus_command_are_told_apart() {
    assert_eq!(
        disagreement(&[], &[timer_started(5, "1")]),
        "event 5: the history has TimerStarted with id 1, but the code asked for nothing more"
    );
    assert_eq!(
        disagreement(&[timer("1"), timer("2")], &[timer_started(5, "1")]),
        "event 6: the history has no further command of this workflow task, \
         but the code asked for TimerStarted with id 2"
    );
}

#[test]
fn names_must_agree_but_inputs_and_times_may_change() {
    // The timer of the code runs 5 ms, that of the history 7 ms.
    assert_eq!(compare(&[timer("1")], &[timer_started(5, "1")]), Ok(()));
    assert!(compare(&[timer("1")], &[timer_started(5, "2")]).is_err());
}

#[test]
fn events_that_no_command_made_are_passed_over() {
    let canceled = event(
        6,
        "ActivityTaskCanceled",
        json!({ "scheduled_event_id": 5, "started_event_id": 0 }),
    );
    let cancel = command(
        "RequestCancelActivityTask",
        json!({ "scheduled_event_id": 3 }),
    );
    let requested = event(
        5,
        "ActivityTaskCancelRequested",
        json!({ "scheduled_event_id": 3 }),
    );
    assert_eq!(
        compare(
            &[cancel, timer("1")],
            &[requested, canceled, timer_started(7, "1")]
        ),
        Ok(())
    );
}

#[test]
fn a_message_of_an_update_has_no_event_of_its_own() {
    let message = command("ProtocolMessage", json!({ "message_id": "m" }));
    assert_eq!(
        compare(&[message, timer("1")], &[timer_started(5, "1")]),
        Ok(())
    );
}

fn patch(id: &str, deprecated: bool) -> (Command, Event) {
    let id = id.to_owned();
    let command = Patch { id, deprecated }.command();
    let Command::RecordMarker {
        marker_name,
        details,
        ..
    } = &command
    else {
        panic!("a patch is a marker");
    };
    let attributes = json!({ "marker_name": marker_name, "details": details });
    (command, event(5, "MarkerRecorded", attributes))
}

#[test]
fn a_patch_is_known_by_its_id_and_only_a_deprecated_one_may_be_left_out() {
    let (noted, recorded) = patch("a", false);
    compare([&noted], [&recorded]).unwrap();
    let (deprecates, marker) = patch("a", true);
    compare([&deprecates], [&recorded]).unwrap();
    compare([&noted], [&marker]).unwrap();
    compare(&[timer("1")], &[marker.clone(), timer_started(6, "1")]).unwrap();
    compare(&[], &[marker]).unwrap();
    assert_eq!(
        disagreement(&[timer("1")], &[recorded.clone(), timer_started(6, "1")]),
        "event 5: the history has MarkerRecorded of patch `a`, but the code asked for TimerStarted with id 1"
    );
    let (other, _) = patch("b", false);
    assert_eq!(
        disagreement(&[other], &[recorded]),
        "event 5: the history has MarkerRecorded of patch `a`, but the code asked for MarkerRecorded of patch `b`"
    );
}
