//! Arguments as they stand in a request.

use history::{Payload, Payloads};
use serde_json::value::RawValue;

use super::Error;

/// Returns arguments as they stand in a request.
pub(super) fn raw(payloads: &Payloads) -> Result<Vec<Box<RawValue>>, Error> {
    payloads.0.iter().map(one).collect()
}

fn one(payload: &Payload) -> Result<Box<RawValue>, Error> {
    let text: &[u8] = if payload.data.is_empty() {
        b"null"
    } else {
        &payload.data
    };
    serde_json::from_slice(text).map_err(|error| Error::Encode(error.into()))
}
