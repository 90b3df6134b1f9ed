//! Answers: JSON text written once, straight from what the engine holds.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use history::{
    Payload, Payloads, RunId, Timestamp, WorkflowExecution, WorkflowId, payload::Encoding,
};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::value::RawValue;

/// Returns a response with a JSON body.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut text = Vec::with_capacity(256);
    // Only a map whose keys are no strings can't be written, and no answer has one.
    let status = match serde_json::to_writer(&mut text, value) {
        Ok(()) => status,
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// A payload as JSON: its own text when it is JSON, `null` when it is nothing, the stored form
/// (`{"$b":"<base64>","enc":…}`) when it is something else.
pub(crate) struct Value<'a>(pub(crate) &'a Payload);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.encoding {
            Encoding::JsonPlain => match serde_json::from_slice::<&RawValue>(&self.0.data) {
                Ok(raw) => raw.serialize(serializer),
                Err(_) => self.0.serialize(serializer),
            },
            Encoding::BinaryNull => serializer.serialize_unit(),
            Encoding::BinaryPlain | Encoding::Erased | Encoding::Other(_) => {
                self.0.serialize(serializer)
            }
        }
    }
}

/// Returns facts by key as JSON.
pub(crate) fn values(facts: &BTreeMap<String, Payload>) -> BTreeMap<&str, Value<'_>> {
    facts
        .iter()
        .map(|(key, payload)| (key.as_str(), Value(payload)))
        .collect()
}

/// What a call returned, as JSON: `null` for nothing, the value if it is one, a list of several.
pub(crate) struct Returned<'a>(pub(crate) &'a Payloads);

impl Serialize for Returned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.0.as_slice() {
            [] => serializer.serialize_unit(),
            [one] => Value(one).serialize(serializer),
            several => {
                let mut list = serializer.serialize_seq(Some(several.len()))?;
                for payload in several {
                    list.serialize_element(&Value(payload))?;
                }
                list.end()
            }
        }
    }
}

/// A moment as RFC 3339 with microseconds, in UTC.
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&history::rfc3339::Utc(self.0))
    }
}

/// The answer of verbs that return nothing: `{}`.
#[derive(Serialize)]
pub(crate) struct Done {}

/// A run of another workflow.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Execution<'a> {
    /// The workflow.
    pub(crate) workflow_id: &'a WorkflowId,
    /// Its run.
    pub(crate) run_id: RunId,
}

impl<'a> Execution<'a> {
    /// Returns it as it is answered.
    pub(crate) fn of(execution: &'a WorkflowExecution) -> Self {
        Self {
            workflow_id: &execution.workflow_id,
            run_id: execution.run_id,
        }
    }
}
