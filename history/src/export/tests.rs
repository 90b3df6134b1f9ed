use std::collections::BTreeSet;

use crate::{event::Event, record::Record};

/// A stored event with all its attributes on one line, and Temporal's JSON of it on the next. The second
/// lines were read without a complaint by protobuf's parser with the descriptors of temporalio 1.35.
pub(crate) const PINNED: &str = include_str!("pinned.txt");

fn stored(line: &str) -> std::sync::Arc<Event> {
    let record: Record = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    assert_eq!(
        serde_json::to_string(&record).unwrap(),
        line,
        "stored again"
    );
    record.event().unwrap().clone()
}

fn exported(line: &str) -> String {
    super::event(&stored(line)).unwrap().get().to_owned()
}

#[test]
fn every_event_type_reads_like_temporals() {
    let lines: Vec<&str> = PINNED.lines().collect();
    let mut seen = BTreeSet::new();
    for pair in lines.chunks(2) {
        seen.insert(stored(pair[0]).kind.number());
        assert_eq!(exported(pair[0]), pair[1]);
    }
    assert_eq!(seen, (1..=60).collect());
}

#[test]
fn a_payload_leaves_with_the_bytes_it_came_with() {
    let line = r#"{"id":9,"t":1,"e":{"WorkflowExecutionSignaled":{"signal_name":"go","input":[{"$p":{"b": 1.50,"a":1e2}}]}}}"#;
    let data = "eyJiIjogMS41MCwiYSI6MWUyfQ==";
    assert!(exported(line).contains(data), "{}", exported(line));
}

#[test]
fn an_activity_started_when_it_started() {
    let line = r#"{"id":6,"t":9000000,"e":{"ActivityTaskStarted":{"scheduled_event_id":5,"attempt":1,"started_at":2000000}}}"#;
    assert_eq!(
        exported(line),
        r#"{"eventId":"6","eventTime":"1970-01-01T00:00:02Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_STARTED","activityTaskStartedEventAttributes":{"scheduledEventId":"5","attempt":1}}"#
    );
}

#[test]
fn what_temporal_always_writes_is_written_although_it_is_not_stored() {
    let line = r#"{"id":5,"t":0,"e":{"ActivityTaskScheduled":{"activity_id":"a","activity_type":"A","task_queue":"q","workflow_task_completed_event_id":4}}}"#;
    assert_eq!(
        exported(line),
        r#"{"eventId":"5","eventTime":"1970-01-01T00:00:00Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED","activityTaskScheduledEventAttributes":{"activityId":"a","activityType":{"name":"A"},"taskQueue":{"name":"q","kind":"TASK_QUEUE_KIND_NORMAL"},"workflowTaskCompletedEventId":"4","scheduleToCloseTimeout":"0s","scheduleToStartTimeout":"0s","startToCloseTimeout":"0s","heartbeatTimeout":"0s","retryPolicy":{"initialInterval":"1s","backoffCoefficient":2,"maximumInterval":"100s"}}}"#
    );
}
