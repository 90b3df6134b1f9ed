//! What workflows and activities may fail with, and what their callers get of it.

use history::{Failure, FailureInfo, Millis, Payload, Payloads};

use super::{
    ActivityError, ChildError, Error, UserError, failures::application, recorded::cause_of,
};

/// What workflows and activities may fail with: [`Error`], or any [`UserError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the error of a workflow or an activity",
    label = "return `coreason::Result<T>`, or `impl UserError for {Self} {{}}`",
    note = "a `UserError` is a `std::error::Error` that is also `Serialize` and `Deserialize`"
)]
pub trait Fails: Sized + Send + 'static {
    /// What a workflow gets when it called an activity that fails with it.
    type AtActivity;
    /// What a workflow gets when it started a child that fails with it.
    type AtChild;

    /// Returns what is recorded of it.
    fn into_failure(self) -> Box<Failure>;
    /// Returns what the caller of an activity gets of what is recorded.
    fn at_activity(failure: Failure) -> Self::AtActivity;
    /// Returns what the parent of a child gets of what is recorded.
    fn at_child(failure: Failure) -> Self::AtChild;
}

impl Fails for Error {
    type AtActivity = Self;
    type AtChild = Self;

    fn into_failure(self) -> Box<Failure> {
        Self::into_failure(self)
    }

    fn at_activity(failure: Failure) -> Self {
        Self::from_failure(failure)
    }

    fn at_child(failure: Failure) -> Self {
        Self::from_failure(failure)
    }
}

impl<E: UserError> Fails for E {
    type AtActivity = ActivityError<E>;
    type AtChild = ChildError<E>;

    fn into_failure(self) -> Box<Failure> {
        let mut failure = application(self.to_string(), String::new());
        failure.cause = cause_of(&self);
        failure.info = FailureInfo::Application {
            kind: self.kind(),
            non_retryable: !self.retryable(),
            details: Payload::json(&self).map_or_else(|_| Payloads::default(), Payloads::one),
            next_retry_delay: self.retry_after().map(Millis::from),
        };
        Box::new(failure)
    }

    fn at_activity(failure: Failure) -> ActivityError<E> {
        ActivityError::of(failure)
    }

    fn at_child(failure: Failure) -> ChildError<E> {
        ChildError::of(failure)
    }
}
