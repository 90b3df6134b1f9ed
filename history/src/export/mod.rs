//! The exported JSON of an event: Temporal's, as protobuf's JSON mapping writes
//! `temporal.api.history.v1.HistoryEvent`.
//!
//! One walk over the stored form serves all event types. Our attributes have Temporal's names, so
//! [`shape()`] only says how a field's value is written; a name that it does not list is plain. The
//! walk reads raw text, so that a payload's bytes leave as they came.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Error, value::RawValue};

use crate::{
    event::{Event, EventKind},
    payload::{ENCODING, Payload, Payloads},
    retry::RetryPolicy,
    rfc3339::Utc,
    time::{Millis, Timestamp},
};

mod duration;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::PINNED;

/// Returns the event as Temporal's JSON.
///
/// # Errors
/// When an attribute can't be JSON: a number that is not finite.
pub fn event(event: &Event) -> Result<Box<RawValue>, Error> {
    let kind = serde_json::to_string(&event.kind)?;
    let (name, attributes) = variant(&kind)?;
    let mut out = Object::default();
    out.put("eventId", &quoted(&event.id)?);
    out.put(
        "eventTime",
        &quoted(&Utc(temporal_time(event)).to_string())?,
    );
    out.put("eventType", &enum_value("EVENT_TYPE", name)?);
    if let Some(attributes) = attributes {
        let (first, rest) = name.split_at(1);
        out.put(
            &format!("{}{rest}EventAttributes", first.to_lowercase()),
            &message(name, attributes)?,
        );
    }
    RawValue::from_string(out.close())
}

/// Returns the time that Temporal gives the event. `ActivityTaskStarted` is written with the
/// activity's end, and has the time of its start.
fn temporal_time(event: &Event) -> Timestamp {
    match &event.kind {
        EventKind::ActivityTaskStarted(started) => started.started_at.unwrap_or(event.at),
        _ => event.at,
    }
}

/// How a stored value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As it is.
    Plain,
    /// Not at all: Temporal's message has no such field.
    Absent,
    /// A number of 64 bits, as a string.
    Int64,
    /// Milliseconds, as `"1.500s"`.
    Duration,
    /// Microseconds, as `"2026-01-31T23:59:59.000001Z"`.
    Time,
    /// One of an enum whose values have this prefix.
    Enum(&'static str),
    /// A name, as `{"name":…}`.
    Named,
    /// The name of a queue that all workers share.
    TaskQueue,
    /// One payload.
    Payload,
    /// A list of payloads.
    Payloads,
    /// Lists of payloads by key.
    PayloadsByKey,
    /// Payloads by key, below the field of this name.
    Fields(&'static str),
    /// When a failed attempt is repeated.
    RetryPolicy,
    /// What kind of failure it is: its fields go to a message named after the kind.
    FailureInfo,
    /// An enum whose variants are fields: each variant's own shape is listed under its name.
    OneOf(&'static str),
    /// A list of those.
    OneOfs(&'static str),
    /// A message, by its name below.
    Message(&'static str),
}

/// Returns how the field of a message is written.
fn shape(message: &str, field: &str) -> Shape {
    match (message, field) {
        ("WorkflowExecutionStarted" | "WorkflowExecutionCancelRequested", "request_id")
        | ("ActivityTaskStarted", "started_at")
        | ("WorkflowTaskCompleted", "sticky") => Shape::Absent,
        ("WorkflowTaskFailed", "cause") => Shape::Enum("WORKFLOW_TASK_FAILED_CAUSE"),
        ("RequestCancelExternalWorkflowExecutionFailed", "cause") => {
            Shape::Enum("CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("SignalExternalWorkflowExecutionFailed", "cause") => {
            Shape::Enum("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("StartChildWorkflowExecutionFailed", "cause") => {
            Shape::Enum("START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE")
        }
        ("Failure", "cause")
        | ("UpdateOutcome", "failure")
        | (_, "failure" | "last_failure" | "continued_failure") => Shape::Message("Failure"),
        ("NexusOperationScheduled", "input") | ("NexusOperationCompleted", "result") => {
            Shape::Payload
        }
        ("MarkerRecorded", "details") => Shape::PayloadsByKey,
        ("UpdateRequest", "input") => Shape::Message("UpdateInput"),
        ("Callback", "nexus") => Shape::Message("CallbackNexus"),
        ("CallbackNexus", "header") => Shape::Plain,
        ("VersioningOverride", "pinned") => Shape::Message("PinnedOverride"),
        ("WorkflowExecutionUpdateCompleted" | "UpdateRequest", "meta") => {
            Shape::Message("UpdateMeta")
        }
        _ => shape_of_any(field),
    }
}

/// Returns how a field is written that is the same in all messages.
fn shape_of_any(field: &str) -> Shape {
    match field {
        "encoded_attributes" => Shape::Payload,
        "input"
        | "args"
        | "details"
        | "result"
        | "success"
        | "last_completion_result"
        | "last_heartbeat_details" => Shape::Payloads,
        "header" | "memo" | "upserted_memo" => Shape::Fields("fields"),
        "search_attributes" => Shape::Fields("indexedFields"),
        "workflow_type" | "activity_type" => Shape::Named,
        "task_queue" => Shape::TaskQueue,
        "info" => Shape::FailureInfo,
        "retry_policy" | "new_retry_policy" => Shape::RetryPolicy,
        "retry_state" => Shape::Enum("RETRY_STATE"),
        "timeout_type" => Shape::Enum("TIMEOUT_TYPE"),
        "initiator" => Shape::Enum("CONTINUE_AS_NEW_INITIATOR"),
        "parent_close_policy" => Shape::Enum("PARENT_CLOSE_POLICY"),
        "workflow_id_reuse_policy" => Shape::Enum("WORKFLOW_ID_REUSE_POLICY"),
        "kind" => Shape::Enum("TASK_QUEUE_KIND"),
        "origin" => Shape::Enum("UPDATE_ADMITTED_EVENT_ORIGIN"),
        "behavior" => Shape::Enum("PINNED_OVERRIDE_BEHAVIOR"),
        "outcome" => Shape::OneOf("UpdateOutcome"),
        "versioning_override" => Shape::OneOf("VersioningOverride"),
        "completion_callbacks" | "attached_completion_callbacks" => Shape::OneOfs("Callback"),
        "accepted_request" | "rejected_request" | "request" => Shape::Message("UpdateRequest"),
        "sdk_metadata" => Shape::Message("SdkMetadata"),
        "version" => Shape::Message("WorkerDeploymentVersion"),
        "priority" => Shape::Message("Priority"),
        "workflow_execution"
        | "parent_workflow_execution"
        | "root_workflow_execution"
        | "external_workflow_execution" => Shape::Message("WorkflowExecution"),
        "history_size_bytes" | "fork_event_version" => Shape::Int64,
        _ if field.ends_with("_event_id") => Shape::Int64,
        _ if field.ends_with("_time") => Shape::Time,
        _ if ["_timeout", "_interval", "_backoff", "_delay"]
            .iter()
            .any(|unit| field.ends_with(unit)) =>
        {
            Shape::Duration
        }
        _ => Shape::Plain,
    }
}

/// Returns what Temporal writes of a message although our stored form leaves it out as a default.
fn always(message: &str) -> &'static [(&'static str, &'static str)] {
    const NONE: &str = "0";
    match message {
        "WorkflowExecutionStarted" => &[
            ("workflow_execution_timeout", NONE),
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("first_workflow_task_backoff", NONE),
        ],
        "WorkflowTaskScheduled" => &[("task_queue_kind", r#""Normal""#)],
        "ActivityTaskScheduled" => &[
            ("schedule_to_close_timeout", NONE),
            ("schedule_to_start_timeout", NONE),
            ("start_to_close_timeout", NONE),
            ("heartbeat_timeout", NONE),
            ("retry_policy", "{}"),
        ],
        "WorkflowExecutionContinuedAsNew" => &[
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("backoff_start_interval", NONE),
        ],
        "StartChildWorkflowExecutionInitiated" => &[
            ("workflow_execution_timeout", NONE),
            ("workflow_run_timeout", NONE),
            ("workflow_task_timeout", NONE),
            ("parent_close_policy", r#""Terminate""#),
            ("workflow_id_reuse_policy", r#""AllowDuplicate""#),
        ],
        "NexusOperationScheduled" => &[("schedule_to_close_timeout", NONE)],
        "PinnedOverride" => &[("behavior", r#""Pinned""#)],
        _ => &[],
    }
}

/// Returns where Temporal nests a field that is flat in our message: the outer field and its message.
fn nested(message: &str, field: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match (message, field) {
        (_, "workflow_id") if message.contains("ExternalWorkflowExecution") => {
            Some(("workflow_execution", "WorkflowExecution", "workflow_id"))
        }
        (_, "run_id") if message.contains("ExternalWorkflowExecution") => {
            Some(("workflow_execution", "WorkflowExecution", "run_id"))
        }
        ("WorkflowTaskScheduled", "task_queue") => Some(("task_queue", "TaskQueue", "name")),
        ("WorkflowTaskScheduled", "task_queue_kind") => Some(("task_queue", "TaskQueue", "kind")),
        _ => None,
    }
}

/// Writes a message from its stored object.
fn message(name: &str, stored: &RawValue) -> Result<String, Error> {
    let fields: Fields<'_> = serde_json::from_str(stored.get())?;
    let absent = always(name)
        .iter()
        .filter(|(field, _)| fields.0.iter().all(|(present, _)| present != field));
    let all = fields
        .0
        .iter()
        .map(|(field, value)| (*field, value.get()))
        .chain(absent.copied());
    let mut out = Object::default();
    let mut inner: Option<(&str, Object)> = None;
    for (field, stored) in all {
        if let Some((outer, inner_name, inner_field)) = nested(name, field) {
            let (_, object) = inner.get_or_insert_with(|| (outer, Object::default()));
            put(object, inner_name, inner_field, stored)?;
        } else {
            put(&mut out, name, field, stored)?;
        }
    }
    if let Some((outer, object)) = inner {
        out.put(&camel(outer), &object.close());
    }
    Ok(out.close())
}

/// Adds a field to an object, unless it is what protobuf leaves out.
fn put(out: &mut Object, message: &str, field: &str, stored: &str) -> Result<(), Error> {
    match shape(message, field) {
        Shape::FailureInfo => {
            let (kind, info) = variant(stored)?;
            let info =
                info.map_or_else(|| Ok("{}".to_owned()), |info| self::message(kind, info))?;
            out.put(failure_info_field(kind), &info);
        }
        shape => {
            let value = written(shape, stored)?;
            if !matches!(
                &*value,
                "" | "0" | "\"0\"" | "\"\"" | "false" | "null" | "[]"
            ) {
                out.put(&camel(field), &value);
            }
        }
    }
    Ok(())
}

/// Writes a stored value; the empty text if nothing is to be written.
fn written(shape: Shape, stored: &str) -> Result<String, Error> {
    Ok(match shape {
        Shape::Plain => stored.to_owned(),
        Shape::Absent | Shape::FailureInfo => String::new(),
        Shape::Int64 => format!("\"{stored}\""),
        Shape::Duration => quoted(&duration::seconds(serde_json::from_str(stored)?))?,
        Shape::Time => quoted(&Utc(serde_json::from_str(stored)?).to_string())?,
        Shape::Enum(prefix) => match serde_json::from_str(stored)? {
            "Unspecified" => String::new(),
            value => enum_value(prefix, value)?,
        },
        Shape::Named => format!("{{\"name\":{stored}}}"),
        Shape::TaskQueue => format!("{{\"name\":{stored},\"kind\":\"TASK_QUEUE_KIND_NORMAL\"}}"),
        Shape::Payload => payload(&serde_json::from_str(stored)?)?,
        Shape::Payloads => payloads(&serde_json::from_str(stored)?)?,
        Shape::PayloadsByKey => {
            let mut out = Object::default();
            for (key, list) in serde_json::from_str::<BTreeMap<String, Payloads>>(stored)? {
                out.put(&key, &payloads(&list)?);
            }
            out.close()
        }
        Shape::Fields(below) => {
            let mut fields = Object::default();
            for (key, one) in serde_json::from_str::<BTreeMap<String, Payload>>(stored)? {
                fields.put(&key, &payload(&one)?);
            }
            let mut out = Object::default();
            out.put(below, &fields.close());
            out.close()
        }
        Shape::RetryPolicy => retry_policy(&serde_json::from_str(stored)?)?,
        Shape::OneOf(name) => one_of(name, stored)?,
        Shape::OneOfs(name) => {
            let all: Vec<&RawValue> = serde_json::from_str(stored)?;
            let all: Result<Vec<String>, Error> =
                all.iter().map(|one| one_of(name, one.get())).collect();
            format!("[{}]", all?.join(","))
        }
        Shape::Message(name) => message(name, serde_json::from_str(stored)?)?,
    })
}

/// Writes an enum whose variants are the fields of a message; one without content is `true`.
fn one_of(name: &str, stored: &str) -> Result<String, Error> {
    let (kind, content) = variant(stored)?;
    let mut out = Object::default();
    let field = snake(kind);
    let stored = content.map_or("true", RawValue::get);
    put(&mut out, name, &field, stored)?;
    Ok(out.close())
}

/// Returns the field of Temporal's `Failure` for a kind of ours.
fn failure_info_field(kind: &str) -> &'static str {
    match kind {
        "TimedOut" => "timeoutFailureInfo",
        "Canceled" => "canceledFailureInfo",
        "Terminated" => "terminatedFailureInfo",
        "Server" => "serverFailureInfo",
        "ResetWorkflow" => "resetWorkflowFailureInfo",
        "Activity" => "activityFailureInfo",
        "ChildWorkflowExecution" => "childWorkflowExecutionFailureInfo",
        "NexusOperation" => "nexusOperationExecutionFailureInfo",
        "NexusHandler" => "nexusHandlerFailureInfo",
        _ => "applicationFailureInfo",
    }
}

/// Writes a list of payloads.
fn payloads(list: &Payloads) -> Result<String, Error> {
    let all: Result<Vec<String>, Error> = list.0.iter().map(payload).collect();
    Ok(format!("{{\"payloads\":[{}]}}", all?.join(",")))
}

/// Writes a payload: metadata and data in base64.
fn payload(payload: &Payload) -> Result<String, Error> {
    let mut metadata = Object::default();
    let encoding = payload.encoding.as_str();
    if !encoding.is_empty() {
        metadata.put(ENCODING, &quoted(&BASE64.encode(encoding))?);
    }
    for (key, value) in &payload.metadata {
        metadata.put(key, &quoted(&BASE64.encode(value))?);
    }
    let mut out = Object::default();
    out.put("metadata", &metadata.close());
    if !payload.data.is_empty() {
        out.put("data", &quoted(&BASE64.encode(&payload.data))?);
    }
    Ok(out.close())
}

/// Writes a retry policy with its defaults filled in, as Temporal's server does.
fn retry_policy(policy: &RetryPolicy) -> Result<String, Error> {
    let longest = policy
        .maximum_interval
        .non_zero()
        .unwrap_or(Millis(policy.initial_interval.0.saturating_mul(100)));
    let coefficient = serde_json::to_string(&policy.backoff_coefficient)?;
    let mut out = Object::default();
    out.put(
        "initialInterval",
        &quoted(&duration::seconds(policy.initial_interval))?,
    );
    out.put(
        "backoffCoefficient",
        coefficient.strip_suffix(".0").unwrap_or(&coefficient),
    );
    out.put("maximumInterval", &quoted(&duration::seconds(longest))?);
    if policy.maximum_attempts != 0 {
        out.put("maximumAttempts", &policy.maximum_attempts.to_string());
    }
    if !policy.non_retryable_error_types.is_empty() {
        out.put(
            "nonRetryableErrorTypes",
            &serde_json::to_string(&policy.non_retryable_error_types)?,
        );
    }
    Ok(out.close())
}

/// Writes a value of an enum: the prefix and the name in capitals.
fn enum_value(prefix: &str, name: &str) -> Result<String, Error> {
    quoted(&format!("{prefix}_{}", snake(name).to_uppercase()))
}

/// Returns a text in quotes, escaped.
fn quoted(text: &impl ToString) -> Result<String, Error> {
    serde_json::to_string(&text.to_string())
}

/// Returns `snake_case` as `camelCase`.
fn camel(field: &str) -> String {
    let mut parts = field.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

/// Returns `PascalCase` as `snake_case`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Returns the name and the content of a variant that serde stored: `{"Name":{…}}` or `"Name"`.
fn variant(stored: &str) -> Result<(&str, Option<&RawValue>), Error> {
    if stored.starts_with('"') {
        return Ok((serde_json::from_str(stored)?, None));
    }
    let mut fields: Fields<'_> = serde_json::from_str(stored)?;
    match fields.0.pop() {
        Some((name, content)) if fields.0.is_empty() => Ok((name, Some(content))),
        _ => Err(serde::de::Error::custom("an enum has one variant")),
    }
}

/// The fields of a stored object, in order.
struct Fields<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(&'de str, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Fields)
    }
}

/// A JSON object that is being written.
#[derive(Default)]
struct Object(String);

impl Object {
    /// Adds a field with a value that is JSON.
    fn put(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // A name is an identifier or a user's key; Value's text is that of a JSON string.
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    /// Returns the whole object.
    fn close(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}
