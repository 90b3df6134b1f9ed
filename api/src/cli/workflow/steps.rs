//! A history in short: a line for each activity, timer, child and message.

use std::collections::HashMap;

use history::Timestamp;
use serde::Deserialize;

use super::ending::Failure;
use crate::{
    duration::Human,
    rest_client::Event,
    terminal::{Table, of_state},
};

/// What a run did, in the order in which it began to.
#[derive(Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    /// The steps that have not ended, by the event that began them.
    open: HashMap<String, usize>,
}

struct Step {
    time: String,
    began_at: Option<Timestamp>,
    what: &'static str,
    name: String,
    state: String,
    attempts: Option<String>,
    took: Option<Human>,
    says: String,
}

/// An activity that is not over, as the description has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    activity_id: String,
    activity_type: String,
    state: String,
    attempt: u32,
    last_failure: Option<Failure>,
}

/// How an event that ends a step names the one that began it.
#[derive(Clone, Copy)]
enum By {
    Scheduled,
    Started,
    Initiated,
}

impl By {
    fn attribute(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduledEventId",
            Self::Started => "startedEventId",
            Self::Initiated => "initiatedEventId",
        }
    }
}

impl Steps {
    /// Adds the next event. One of a kind that is not known here is told as it is.
    pub(super) fn add(&mut self, event: &Event) {
        let name = event.name();
        if let Some(how) = closing(&name) {
            return self.end("1", event, how);
        }
        match name.as_str() {
            "WorkflowTaskScheduled"
            | "WorkflowTaskStarted"
            | "WorkflowTaskCompleted"
            | "ActivityTaskCancelRequested" => {}
            "WorkflowExecutionStarted" => {
                self.begin(event, "workflow", &["workflowType"], "Running");
                self.say("1", event, &["input"]);
            }
            "WorkflowTaskFailed" => {
                self.happened(event, "workflow task", &[], "Failed", &["failure", "cause"]);
            }
            "WorkflowTaskTimedOut" => {
                self.happened(event, "workflow task", &[], "TimedOut", &["timeoutType"]);
            }
            "ActivityTaskScheduled" => self.begin(
                event,
                "activity",
                &["activityType", "activityId"],
                "Scheduled",
            ),
            "ActivityTaskStarted" => self.attempt(event),
            "ActivityTaskCompleted" => self.ends(By::Scheduled, event, "Completed"),
            "ActivityTaskFailed" => self.ends(By::Scheduled, event, "Failed"),
            "ActivityTaskTimedOut" => self.ends(By::Scheduled, event, "TimedOut"),
            "ActivityTaskCanceled" => self.ends(By::Scheduled, event, "Canceled"),
            "TimerStarted" => self.begin(
                event,
                "timer",
                &["startToFireTimeout", "timerId"],
                "Running",
            ),
            "TimerFired" => self.ends(By::Started, event, "Fired"),
            "TimerCanceled" => self.ends(By::Started, event, "Canceled"),
            "StartChildWorkflowExecutionInitiated" => {
                self.begin(event, "child", &["workflowType", "workflowId"], "Scheduled");
            }
            "StartChildWorkflowExecutionFailed" => self.ends(By::Initiated, event, "NotStarted"),
            "ChildWorkflowExecutionStarted" => self.stands(By::Initiated, event, "Running"),
            "ChildWorkflowExecutionCompleted" => self.ends(By::Initiated, event, "Completed"),
            "ChildWorkflowExecutionFailed" => self.ends(By::Initiated, event, "Failed"),
            "ChildWorkflowExecutionCanceled" => self.ends(By::Initiated, event, "Canceled"),
            "ChildWorkflowExecutionTimedOut" => self.ends(By::Initiated, event, "TimedOut"),
            "ChildWorkflowExecutionTerminated" => self.ends(By::Initiated, event, "Terminated"),
            "WorkflowExecutionSignaled" => {
                self.happened(event, "signal", &["signalName"], "Received", &["input"]);
            }
            "SignalExternalWorkflowExecutionInitiated" => {
                self.begin(
                    event,
                    "signal to",
                    &["workflowExecution", "signalName"],
                    "Scheduled",
                );
            }
            "RequestCancelExternalWorkflowExecutionInitiated" => {
                self.begin(event, "cancel of", &["workflowExecution"], "Scheduled");
            }
            "ExternalWorkflowExecutionSignaled" | "ExternalWorkflowExecutionCancelRequested" => {
                self.ends(By::Initiated, event, "Delivered");
            }
            "SignalExternalWorkflowExecutionFailed"
            | "RequestCancelExternalWorkflowExecutionFailed" => {
                self.ends(By::Initiated, event, "Failed");
            }
            "WorkflowExecutionCancelRequested" => {
                self.happened(event, "cancel", &[], "Requested", &["cause"]);
            }
            "MarkerRecorded" => self.happened(event, "marker", &["markerName"], "Recorded", &[]),
            other => self.happened(event, "event", &[], other, &[]),
        }
    }

    /// Says whether the run has not closed.
    pub(super) fn is_open(&self) -> bool {
        self.open.contains_key("1")
    }

    /// Takes in how activities stand that are not over: their attempts leave no events.
    pub(super) fn pending(&mut self, activities: &[Pending]) {
        for activity in activities {
            let name = format!("{} ({})", activity.activity_type, activity.activity_id);
            let is = |step: &&mut Step| {
                step.what == "activity" && step.took.is_none() && step.name == name
            };
            if let Some(step) = self.steps.iter_mut().rev().find(is) {
                step.state.clone_from(&activity.state);
                step.attempts = Some(activity.attempt.to_string());
                if let Some(failure) = &activity.last_failure {
                    step.says = failure.line();
                }
            }
        }
    }

    /// Returns them as rows.
    pub(super) fn table(self) -> Table {
        let heading = [
            "TIME", "WHAT", "NAME", "STATE", "ATTEMPTS", "TOOK", "DETAILS",
        ];
        let mut table = Table::new(&heading).coloured(3, of_state);
        for step in self.steps {
            table.row([
                step.time,
                step.what.to_owned(),
                step.name,
                step.state,
                step.attempts.unwrap_or_default(),
                step.took.map(|took| took.to_string()).unwrap_or_default(),
                step.says,
            ]);
        }
        table
    }

    fn begin(&mut self, event: &Event, what: &'static str, name: &[&str], state: &str) {
        self.open.insert(event.id().to_owned(), self.steps.len());
        self.happened(event, what, name, state, &[]);
    }

    fn happened(
        &mut self,
        event: &Event,
        what: &'static str,
        name: &[&str],
        state: &str,
        says: &[&str],
    ) {
        let parts: Vec<String> = name
            .iter()
            .filter_map(|name| event.attribute(name))
            .collect();
        let name = match parts.as_slice() {
            [name, id] => format!("{name} ({id})"),
            parts => parts.concat(),
        };
        self.steps.push(Step {
            time: event.time(),
            began_at: event.at(),
            what,
            name,
            state: state.to_owned(),
            attempts: None,
            took: None,
            says: first(event, says),
        });
    }

    fn step(&mut self, began: &str) -> Option<&mut Step> {
        self.steps.get_mut(*self.open.get(began)?)
    }

    fn say(&mut self, began: &str, event: &Event, says: &[&str]) {
        if let Some(step) = self.step(began) {
            step.says = first(event, says);
        }
    }

    /// Takes the number of the last attempt, and how the one before it failed.
    fn attempt(&mut self, event: &Event) {
        let began = event
            .attribute(By::Scheduled.attribute())
            .unwrap_or_default();
        if let Some(step) = self.step(&began) {
            "Started".clone_into(&mut step.state);
            step.attempts = event.attribute("attempt");
            step.says = first(event, &["lastFailure"]);
        }
    }

    fn stands(&mut self, by: By, event: &Event, state: &str) {
        let began = event.attribute(by.attribute()).unwrap_or_default();
        if let Some(step) = self.step(&began) {
            state.clone_into(&mut step.state);
        }
    }

    fn ends(&mut self, by: By, event: &Event, how: &str) {
        let began = event.attribute(by.attribute()).unwrap_or_default();
        self.end(&began, event, how);
    }

    fn end(&mut self, began: &str, event: &Event, how: &str) {
        if let Some(step) = self.step(began) {
            how.clone_into(&mut step.state);
            step.took = event
                .at()
                .zip(step.began_at)
                .map(|(ended, began)| Human(ended.since(began)));
            let says = first(
                event,
                &[
                    "result",
                    "failure",
                    "details",
                    "reason",
                    "cause",
                    "newExecutionRunId",
                ],
            );
            if !says.is_empty() {
                step.says = says;
            }
        }
        self.open.remove(began);
    }
}

/// Returns the first attribute of these that says anything.
fn first(event: &Event, names: &[&str]) -> String {
    names
        .iter()
        .find_map(|name| event.attribute(name))
        .unwrap_or_default()
}

/// Returns how an event closes the run, if it does.
fn closing(name: &str) -> Option<&str> {
    let how = name.strip_prefix("WorkflowExecution")?;
    let closes = [
        "Completed",
        "Failed",
        "Canceled",
        "Terminated",
        "TimedOut",
        "ContinuedAsNew",
    ];
    closes.contains(&how).then_some(how)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::RawValue};

    use super::*;
    use crate::terminal::Screen;

    fn event(id: u32, second: u32, kind: &str, attributes: &Value) -> Event {
        let upper: String = kind
            .chars()
            .flat_map(|c| {
                c.is_uppercase()
                    .then_some('_')
                    .into_iter()
                    .chain([c.to_ascii_uppercase()])
            })
            .collect();
        let text = json!({
            "eventId": id.to_string(), "eventTime": format!("2026-01-31T12:00:{second:02}.000000Z"),
            "eventType": format!("EVENT_TYPE{upper}"), "someEventAttributes": attributes,
        });
        Event::read(&RawValue::from_string(text.to_string()).unwrap()).unwrap()
    }

    fn shown(events: &[Event], pending: &[Pending]) -> String {
        let mut steps = Steps::default();
        for event in events {
            steps.add(event);
        }
        steps.pending(pending);
        let mut out = Vec::new();
        steps.table().write(&mut out, Screen::Elsewhere).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_history_reads_in_a_line_for_each_thing_that_was_done() {
        let no_task = json!({});
        let events = [
            event(
                1,
                0,
                "WorkflowExecutionStarted",
                &json!({"workflowType": {"name": "order"}, "input": {"payloads": [{"data": "Nw=="}]}}),
            ),
            event(2, 0, "WorkflowTaskScheduled", &no_task),
            event(3, 0, "WorkflowTaskStarted", &no_task),
            event(4, 0, "WorkflowTaskCompleted", &no_task),
            event(
                5,
                0,
                "ActivityTaskScheduled",
                &json!({"activityType": {"name": "charge"}, "activityId": "1"}),
            ),
            event(
                6,
                0,
                "TimerStarted",
                &json!({"timerId": "2", "startToFireTimeout": "1s"}),
            ),
            event(
                7,
                1,
                "TimerFired",
                &json!({"timerId": "2", "startedEventId": "6"}),
            ),
            event(
                8,
                2,
                "WorkflowExecutionSignaled",
                &json!({"signalName": "approve", "input": {"payloads": [{"data": "dHJ1ZQ=="}]}}),
            ),
            event(
                9,
                3,
                "ActivityTaskStarted",
                &json!({"scheduledEventId": "5", "attempt": 3, "lastFailure": {"message": "declined"}}),
            ),
            event(
                10,
                3,
                "ActivityTaskCompleted",
                &json!({"scheduledEventId": "5", "startedEventId": "9"}),
            ),
            event(
                11,
                3,
                "StartChildWorkflowExecutionInitiated",
                &json!({"workflowType": {"name": "ship"}, "workflowId": "s-1"}),
            ),
            event(
                12,
                3,
                "ChildWorkflowExecutionStarted",
                &json!({"initiatedEventId": "11"}),
            ),
            event(
                13,
                5,
                "ChildWorkflowExecutionFailed",
                &json!({"initiatedEventId": "11", "failure": {"message": "no van"}}),
            ),
            event(
                14,
                5,
                "WorkflowExecutionFailed",
                &json!({"failure": {"message": "child failed", "cause": {"message": "no van"}}}),
            ),
        ];
        assert_eq!(
            shown(&events, &[]),
            "TIME          WHAT      NAME        STATE      ATTEMPTS  TOOK  DETAILS\n\
             12:00:00.000  workflow  order       Failed               5s    child failed: no van\n\
             12:00:00.000  activity  charge (1)  Completed  3         3s    declined\n\
             12:00:00.000  timer     1s (2)      Fired                1s\n\
             12:00:02.000  signal    approve     Received                   true\n\
             12:00:03.000  child     ship (s-1)  Failed               2s    no van\n"
        );
    }

    #[test]
    fn what_is_not_over_stands_as_the_description_says() {
        let events = [
            event(
                1,
                0,
                "WorkflowExecutionStarted",
                &json!({"workflowType": {"name": "order"}}),
            ),
            event(
                2,
                0,
                "ActivityTaskScheduled",
                &json!({"activityType": {"name": "charge"}, "activityId": "1"}),
            ),
            event(
                3,
                0,
                "ActivityTaskScheduled",
                &json!({"activityType": {"name": "charge"}, "activityId": "2"}),
            ),
            event(
                4,
                0,
                "WorkflowTaskFailed",
                &json!({"failure": {"message": "panicked"}}),
            ),
            event(5, 1, "SomethingNew", &json!({})),
        ];
        let pending: Pending = serde_json::from_value(json!({
            "activityId": "1", "activityType": "charge", "state": "Backoff", "attempt": 4,
            "lastFailure": {"message": "declined", "type": "CardDeclined"},
        }))
        .unwrap();
        assert_eq!(
            shown(&events, &[pending]),
            "TIME          WHAT           NAME        STATE         ATTEMPTS  TOOK  DETAILS\n\
             12:00:00.000  workflow       order       Running\n\
             12:00:00.000  activity       charge (1)  Backoff       4               declined (CardDeclined)\n\
             12:00:00.000  activity       charge (2)  Scheduled\n\
             12:00:00.000  workflow task              Failed                        panicked\n\
             12:00:01.000  event                      SomethingNew\n"
        );
    }
}
