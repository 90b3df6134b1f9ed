//! Errors of the user's own that survive from the activity to the workflow and from the child to the parent.

use std::time::Duration;

use history::{Failure, FailureInfo};
use serde::{Serialize, de::DeserializeOwned};

use super::failures::{is_canceled, type_name};

/// An error of your own that the caller gets back as it was: `impl UserError for PayError {}` is enough.
///
/// It is recorded as an application failure: [`kind`](Self::kind) is its type, the value itself stands in the details.
pub trait UserError:
    std::error::Error + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Says whether the retry policy may repeat what failed with it.
    fn retryable(&self) -> bool {
        true
    }

    /// Returns the name by which retry policies and people know it; the name of the type unless told.
    fn kind(&self) -> String {
        type_name::<Self>()
    }

    /// Returns the time after which to repeat, if it knows better than the policy.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Reads the user's error out of what a call recorded, if its cause is one.
pub(super) fn read<E: UserError>(call: &Failure) -> Option<E> {
    match &call.cause.as_deref()?.info {
        FailureInfo::Application { details, .. } => details.0.first()?.read().ok(),
        _ => None,
    }
}

/// Says whether the direct cause of a failed call is a cancellation.
pub(super) fn canceled(call: &Failure) -> bool {
    is_canceled(call)
}
