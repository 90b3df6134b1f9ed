//! An event of the exported history, as people read it.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, value::RawValue};

use history::{Timestamp, rfc3339};

use super::Error;
use crate::terminal::{Screen, one_line};

/// The most characters that a terminal shows of an event's details.
const DETAILS_MAX: usize = 110;

/// The attributes that say most about an event, in the order they are shown.
const TELLING: [&str; 22] = [
    "workflowType",
    "activityType",
    "activityId",
    "timerId",
    "startToFireTimeout",
    "signalName",
    "workflowExecution",
    "workflowId",
    "scheduledEventId",
    "initiatedEventId",
    "startedEventId",
    "attempt",
    "input",
    "result",
    "failure",
    "lastFailure",
    "cause",
    "reason",
    "details",
    "timeoutType",
    "retryState",
    "newExecutionRunId",
];

/// An event in Temporal's JSON.
pub(crate) struct Event {
    value: Value,
}

impl Event {
    /// Reads an event.
    pub(crate) fn read(text: &RawValue) -> Result<Self, Error> {
        let value = serde_json::from_str(text.get()).map_err(|error| Error::Answer {
            address: "the server".to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self { value })
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> &str {
        self.value["eventId"].as_str().unwrap_or_default()
    }

    /// Returns its time of day in UTC, to the millisecond.
    pub(crate) fn time(&self) -> String {
        let time = self.value["eventTime"].as_str().unwrap_or_default();
        let of_day = time.split_once('T').map_or(time, |(_, of_day)| of_day);
        of_day.trim_end_matches('Z').chars().take(12).collect()
    }

    /// Returns its time.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        rfc3339::read(self.value["eventTime"].as_str()?)
    }

    /// Returns an attribute as text, if it says anything.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.attributes()?.get(name).and_then(said)
    }

    /// Returns the name of its type: `EVENT_TYPE_TIMER_FIRED` is `TimerFired`.
    pub(crate) fn name(&self) -> String {
        let kind = self.value["eventType"].as_str().unwrap_or_default();
        kind.trim_start_matches("EVENT_TYPE_")
            .split('_')
            .map(capitalised)
            .collect()
    }

    /// Returns the run that follows the one that it closes, if one does.
    pub(crate) fn next_run_id(&self) -> Option<String> {
        let next = &self.attributes()?["newExecutionRunId"];
        next.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    /// Returns its attributes.
    pub(crate) fn attributes(&self) -> Option<&Value> {
        let fields = self.value.as_object()?;
        fields
            .iter()
            .find(|(key, _)| key.ends_with("EventAttributes"))
            .map(|(_, attributes)| attributes)
    }

    /// Returns the attributes that say most, as text.
    pub(crate) fn details(&self) -> String {
        let Some(attributes) = self.attributes() else {
            return String::new();
        };
        let telling = |name: &&str| {
            attributes
                .get(name)
                .and_then(said)
                .map(|value| format!("{name}={value}"))
        };
        TELLING
            .iter()
            .filter_map(telling)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Returns all of it in one line.
    pub(crate) fn line(&self, screen: Screen) -> String {
        format!(
            "{:>5}  {:<12}  {:<40}  {}",
            self.id(),
            self.time(),
            self.name(),
            screen.cut(&one_line(&self.details()), DETAILS_MAX)
        )
        .trim_end()
        .to_owned()
    }
}

fn capitalised(word: &str) -> String {
    let lower = word.to_lowercase();
    let mut letters = lower.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Returns a value as text; nothing when it says nothing.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() || text == "0" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.as_i64() == Some(0) => None,
        Value::Object(fields) if fields.contains_key("message") => Some(failure(value)),
        Value::Object(fields) => fields
            .get("name")
            .or_else(|| fields.get("workflowId"))
            .and_then(said)
            .or_else(|| payloads(value)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(value.to_string()),
    }
}

/// Returns a failure with its causes.
fn failure(value: &Value) -> String {
    let causes = std::iter::successors(Some(value), |failure| failure.get("cause"));
    let mut line = String::new();
    for message in causes.filter_map(|failure| failure["message"].as_str()) {
        if !line.contains(message) {
            let between = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{between}{message}");
        }
    }
    line
}

/// Returns a list of payloads as JSON.
fn payloads(value: &Value) -> Option<String> {
    let list = value.get("payloads")?.as_array()?;
    let texts: Vec<String> = list.iter().filter_map(decoded).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// Returns the text of a payload in Temporal's JSON.
fn decoded(payload: &Value) -> Option<String> {
    let bytes = BASE64.decode(payload.get("data")?.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        Event {
            value: serde_json::from_str(text).unwrap(),
        }
    }

    #[test]
    fn an_event_reads_in_one_line() {
        let event = event(
            r#"{"eventId":"5","eventTime":"2026-01-31T23:59:59.123456Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
                "activityTaskScheduledEventAttributes":{"activityId":"1","activityType":{"name":"greet"},
                "input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"IndvcmxkIg=="}]}}}"#,
        );
        assert_eq!(
            event.line(Screen::Elsewhere),
            "    5  23:59:59.123  ActivityTaskScheduled                     activityType=greet activityId=1 input=\"world\""
        );
    }

    #[test]
    fn a_failure_is_told_with_its_causes() {
        let event = event(
            r#"{"eventId":"7","eventType":"EVENT_TYPE_ACTIVITY_TASK_FAILED","activityTaskFailedEventAttributes":{
                "failure":{"message":"activity failed","cause":{"message":"not read","cause":{"message":"no field"}}}}}"#,
        );
        assert_eq!(
            event.details(),
            "failure=activity failed: not read: no field"
        );
    }
}
