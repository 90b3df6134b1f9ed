//! User data in a request: any JSON, kept byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use history::{Identity, Payload, Payloads, RequestId};
use serde::{Deserialize as _, Deserializer};
use serde_json::value::RawValue;

use crate::{error::Error, forward::Fresh};

/// Facts by key: a memo, or search attributes.
pub(crate) type Facts<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a field that may be absent; `null` is a value.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Returns the arguments: `input` is the only one, `inputs` are several.
pub(crate) fn arguments(
    input: Option<&RawValue>,
    inputs: Option<Vec<&RawValue>>,
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

fn payload(raw: &RawValue) -> Payload {
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
