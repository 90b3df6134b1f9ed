//! User data in a request: any JSON that can be read, kept byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use history::{Identity, Payload, Payloads, RequestId};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{error::Error, forward::Fresh};

/// A value as it stands in the text. Its numbers may be of any size and its lists of any depth: what reads them is the user's code. But
/// half of a surrogate pair is no character, so a string that has one is no text to any code, and is refused.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(pub(crate) &'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match half_a_character(raw.get()) {
            None => Ok(Self(raw)),
            Some(half) => Err(D::Error::custom(format!(
                "{half} is half of a surrogate pair and no character; write both halves, or the character itself"
            ))),
        }
    }
}

/// Returns the first escape of a JSON text that is half of a surrogate pair and stands alone.
fn half_a_character(json: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(backslash) = json.get(at..)?.find('\\') {
        at += backslash;
        let Some(first) = escaped(json, at) else {
            at += 2;
            continue;
        };
        let whole = match first {
            0xD800..0xDC00 => matches!(escaped(json, at + 6), Some(0xDC00..0xE000)),
            0xDC00..0xE000 => false,
            _ => {
                at += 6;
                continue;
            }
        };
        if !whole {
            return json.get(at..at + 6);
        }
        at += 12;
    }
    None
}

/// Returns the number of an escape such as `\u00e9`, if one stands here.
fn escaped(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Facts by key: a memo, or search attributes.
pub(crate) type Facts<'a> = BTreeMap<String, Value<'a>>;

/// Reads a field that may be absent; `null` is a value.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value<'de>>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Returns the arguments: `input` is the only one, `inputs` are several.
pub(crate) fn arguments(
    input: Option<Value<'_>>,
    inputs: Option<Vec<Value<'_>>>,
) -> Result<Payloads, Error> {
    match (input, inputs) {
        (Some(_), Some(_)) => Err(Error::InvalidBody(
            "give either `input` or `inputs`, not both".to_owned(),
        )),
        (Some(one), None) => Ok(Payloads::one(payload(one))),
        (None, Some(several)) => Ok(Payloads(several.into_iter().map(payload).collect())),
        (None, None) => Ok(Payloads::default()),
    }
}

/// Returns facts as payloads.
pub(crate) fn facts(facts: Facts<'_>) -> BTreeMap<String, Payload> {
    facts
        .into_iter()
        .map(|(key, value)| (key, payload(value)))
        .collect()
}

fn payload(Value(raw): Value<'_>) -> Payload {
    Payload::json_text(Bytes::copy_from_slice(raw.get().as_bytes()))
}

/// Returns the given request id, or a fresh one.
pub(crate) fn request_id(given: Option<&str>, fresh: &Fresh) -> Result<RequestId, Error> {
    Ok(RequestId::new(
        given.map_or_else(|| fresh.id(), str::to_owned),
    )?)
}

/// Returns who asks, if the request says it.
pub(crate) fn identity(given: Option<&str>) -> Result<Option<Identity>, Error> {
    Ok(given.map(Identity::new).transpose()?)
}
