//! The default error.

use std::{fmt, time::Duration};

use history::{Failure, FailureInfo, Millis, Payload, Payloads};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    failures::{application, chain, is_canceled, type_name, write_chain},
    recorded::{cause_of, stands_for},
};

/// The default error: a failure with its causes. It is retried by policy unless told otherwise.
///
/// Like `anyhow::Error` it takes any error with `?`. To match on an error of your own at the caller, implement
/// [`UserError`](super::UserError) for it and return it as it is.
#[derive(Clone)]
pub struct Error(Box<Failure>);

impl Error {
    /// Returns an error of type `Error` with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Box::new(application(message.into(), "Error".to_owned())))
    }

    /// Returns this error with another type, the name by which retry policies know it.
    #[must_use]
    pub fn of_kind(mut self, name: impl Into<String>) -> Self {
        if let FailureInfo::Application { kind, .. } = &mut self.0.info {
            *kind = name.into();
        }
        self
    }

    /// Returns this error, never to be retried.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        if let FailureInfo::Application { non_retryable, .. } = &mut self.0.info {
            *non_retryable = true;
        }
        self
    }

    /// Returns this error, to be retried after that time whatever the policy says.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        if let FailureInfo::Application {
            next_retry_delay, ..
        } = &mut self.0.info
        {
            *next_retry_delay = Some(Millis::from(delay));
        }
        self
    }

    /// Returns this error with a value that the caller can read by [`details`](Self::details).
    #[must_use]
    pub fn with_details<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        if let FailureInfo::Application { details, .. } = &mut self.0.info
            && let Ok(payload) = Payload::json(value)
        {
            *details = Payloads::one(payload);
        }
        self
    }

    /// Returns the type of the application failure in the chain: what [`of_kind`](Self::of_kind) set or where it came from.
    pub fn kind(&self) -> Option<&str> {
        chain(&self.0).find_map(|failure| match &failure.info {
            FailureInfo::Application { kind, .. } => Some(kind.as_str()),
            _ => None,
        })
    }

    /// Returns the details of the application failure in the chain, if there are any of this shape.
    pub fn details<T: DeserializeOwned>(&self) -> Option<T> {
        chain(&self.0).find_map(|failure| match &failure.info {
            FailureInfo::Application { details, .. } => details.0.first()?.read().ok(),
            _ => None,
        })
    }

    /// Says whether it is a cancellation, or was caused by one.
    pub fn is_canceled(&self) -> bool {
        is_canceled(&self.0)
    }

    /// Says whether it is a passed timeout, or was caused by one.
    pub fn is_timeout(&self) -> bool {
        chain(&self.0).any(|failure| matches!(failure.info, FailureInfo::TimedOut { .. }))
    }

    /// Returns what is recorded of it.
    pub fn failure(&self) -> &Failure {
        &self.0
    }

    /// Returns the error of a recorded failure.
    pub fn from_failure(failure: Failure) -> Self {
        Self(Box::new(failure))
    }

    pub(crate) fn into_failure(self) -> Box<Failure> {
        self.0
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        if let Some(recorded) = stands_for(&error) {
            return Self(Box::new(recorded.failure().clone()));
        }
        let mut failure = application(error.to_string(), type_name::<E>());
        failure.cause = cause_of(&error);
        Self(Box::new(failure))
    }
}

impl fmt::Display for Error {
    /// The message and its causes: `activity failed: card declined`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&self.0, f)
    }
}
