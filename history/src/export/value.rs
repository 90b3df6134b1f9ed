//! Values that have a form of their own in protobuf's JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Error;

use super::{
    duration,
    json::{Object, quoted},
};
use crate::{
    payload::{ENCODING, Payload, Payloads},
    retry::RetryPolicy,
    time::Millis,
};

/// Writes a list of payloads.
pub(super) fn payloads(list: &Payloads) -> Result<String, Error> {
    let all: Result<Vec<String>, Error> = list.0.iter().map(payload).collect();
    Ok(format!("{{\"payloads\":[{}]}}", all?.join(",")))
}

/// Writes a payload: metadata and data in base64.
pub(super) fn payload(payload: &Payload) -> Result<String, Error> {
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
pub(super) fn retry_policy(policy: &RetryPolicy) -> Result<String, Error> {
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
