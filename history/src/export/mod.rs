//! The exported JSON of an event: Temporal's, as protobuf's JSON mapping writes
//! `temporal.api.history.v1.HistoryEvent`.
//!
//! One walk over the stored form serves all event types. Our attributes have Temporal's names, so
//! `shape()` only says how a field's value is written; a name that it does not list is plain. The
//! walk reads raw text, so that a payload's bytes leave as they came.

use std::collections::BTreeMap;

use serde_json::{Error, value::RawValue};

use crate::{
    event::{Event, EventKind},
    payload::{Payload, Payloads},
    rfc3339::Utc,
    time::Timestamp,
};

mod duration;
mod json;
mod shape;
mod value;

use json::{Fields, Object, camel, enum_value, quoted, snake, variant};
use shape::{Shape, always, failure_info_field, nested, shape};
use value::{payload, payloads, retry_policy};

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
