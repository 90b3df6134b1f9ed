//! Options of calls.

use std::time::Duration;

use history::{Millis, RetryPolicy};

/// How failed attempts are repeated: after 1 s, 2 s, 4 s … 100 s without end, unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retry(RetryPolicy);

impl Retry {
    /// Returns a policy of at most that many attempts, the first included; 0 means without end.
    pub fn attempts(most: u32) -> Self {
        Self(RetryPolicy {
            maximum_attempts: most,
            ..RetryPolicy::default()
        })
    }

    /// Returns the policy of a single attempt.
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// Returns this policy with another wait after the first failure.
    #[must_use]
    pub fn initial(mut self, wait: Duration) -> Self {
        self.0.initial_interval = Millis::from(wait);
        self
    }

    /// Returns this policy with another longest wait; 100 times the first unless told.
    #[must_use]
    pub fn max_interval(mut self, wait: Duration) -> Self {
        self.0.maximum_interval = Millis::from(wait);
        self
    }

    /// Returns this policy with another factor from wait to wait; 2 unless told.
    #[must_use]
    pub fn backoff(mut self, coefficient: f64) -> Self {
        self.0.backoff_coefficient = coefficient;
        self
    }

    /// Returns this policy with a type of errors that is not repeated.
    #[must_use]
    pub fn except(mut self, kind: impl Into<String>) -> Self {
        self.0.non_retryable_error_types.push(kind.into());
        self
    }
}

impl From<Retry> for RetryPolicy {
    fn from(retry: Retry) -> Self {
        retry.0
    }
}

/// What a canceled call does to the activity or the child, and when it returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cancellation {
    /// Asks it to cancel and returns at once. The default of activities.
    #[default]
    Try,
    /// Asks it to cancel and returns when it has ended. The default of children.
    Wait,
    /// Leaves it alone and returns at once; when the call is dropped, it goes on as well.
    Abandon,
}
