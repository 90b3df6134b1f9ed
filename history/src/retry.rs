//! When a failed attempt is tried again: a pure function of the policy, the attempt and the failure.

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    limits::DURATION_MAX,
    time::{Millis, Timestamp},
};

/// How failed attempts are repeated. Temporal: `RetryPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// The wait after the first failure; 1 s unless told.
    pub initial_interval: Millis,
    /// What each wait is multiplied by; 2.0 unless told, at least 1.
    pub backoff_coefficient: f64,
    /// The longest wait; 100 times the initial interval if zero.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub maximum_interval: Millis,
    /// The most attempts, the first included; 0 means without end.
    #[serde(skip_serializing_if = "is_zero")]
    pub maximum_attempts: u32,
    /// Types of application failures, or `TemporalTimeout:<type>`, that are never retried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_retryable_error_types: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Default for RetryPolicy {
    /// Temporal's defaults: 1 s, 2 s, 4 s … 100 s, without end.
    fn default() -> Self {
        Self {
            initial_interval: Millis::seconds(1),
            backoff_coefficient: 2.0,
            maximum_interval: Millis::ZERO,
            maximum_attempts: 0,
            non_retryable_error_types: Vec::new(),
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, not before this moment.
    RetryAt(Timestamp),
    /// No other attempt, and why.
    Final(RetryState),
}

impl RetryPolicy {
    /// Returns the policy with Temporal's defaults where it says zero.
    #[must_use]
    pub fn filled(mut self) -> Self {
        let default = Self::default();
        if self.initial_interval.is_zero() {
            self.initial_interval = default.initial_interval;
        }
        if self.backoff_coefficient == 0.0 {
            self.backoff_coefficient = default.backoff_coefficient;
        }
        self
    }

    /// Says what is wrong with the policy, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        if self.initial_interval.is_zero() {
            Some("initial_interval must be above zero")
        } else if !(self.backoff_coefficient >= 1.0 && self.backoff_coefficient.is_finite()) {
            Some("backoff_coefficient must be a number of at least 1")
        } else if !self.maximum_interval.is_zero() && self.maximum_interval < self.initial_interval
        {
            Some("maximum_interval must not be below initial_interval")
        } else if self.initial_interval.max(self.maximum_interval) > DURATION_MAX {
            Some("an interval must not be longer than 100 years")
        } else {
            None
        }
    }

    /// Returns the wait after the failure of `attempt` (from 1): the initial interval times the
    /// coefficient to the power of `attempt - 1`, at most the maximum interval.
    pub fn interval_after(&self, attempt: u32) -> Millis {
        let cap = self
            .maximum_interval
            .non_zero()
            .unwrap_or(Millis(self.initial_interval.0.saturating_mul(100)))
            .min(DURATION_MAX);
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        #[expect(
            clippy::cast_precision_loss,
            reason = "intervals are far below 2^52 ms"
        )]
        let wait = self.initial_interval.0 as f64 * self.backoff_coefficient.powi(exponent);
        #[expect(
            clippy::cast_precision_loss,
            reason = "intervals are far below 2^52 ms"
        )]
        if !wait.is_finite() || wait >= cap.0 as f64 {
            return cap;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 <= wait < cap"
        )]
        Millis(wait.ceil() as u64)
    }

    /// Returns what follows the failure of `attempt` at `now`, when no attempt may start after `expires_at`.
    pub fn after(
        &self,
        attempt: u32,
        failure: &Failure,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Next {
        if !self.retries(failure) {
            return Next::Final(RetryState::NonRetryableFailure);
        }
        if self.maximum_attempts != 0 && attempt >= self.maximum_attempts {
            return Next::Final(RetryState::MaximumAttemptsReached);
        }
        let told = match &failure.info {
            FailureInfo::Application {
                next_retry_delay, ..
            } => *next_retry_delay,
            _ => None,
        };
        let wait = told.unwrap_or_else(|| self.interval_after(attempt));
        let at = now.after(wait.min(DURATION_MAX));
        if expires_at.is_some_and(|end| at >= end) {
            return Next::Final(RetryState::Timeout);
        }
        Next::RetryAt(at)
    }

    /// Says whether failures of this kind are retried at all.
    fn retries(&self, failure: &Failure) -> bool {
        let listed = |name: &str| {
            self.non_retryable_error_types
                .iter()
                .any(|kind| kind == name)
        };
        match &failure.info {
            FailureInfo::Application {
                kind,
                non_retryable,
                ..
            } => !non_retryable && !listed(kind),
            FailureInfo::Server { non_retryable } => !non_retryable,
            FailureInfo::TimedOut { timeout_type, .. } => match timeout_type {
                TimeoutType::StartToClose | TimeoutType::Heartbeat => {
                    !listed(&format!("TemporalTimeout:{}", timeout_type.as_str()))
                }
                TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose => false,
            },
            FailureInfo::Canceled { .. } | FailureInfo::Terminated => false,
            FailureInfo::ResetWorkflow { .. }
            | FailureInfo::Activity { .. }
            | FailureInfo::ChildWorkflowExecution { .. }
            | FailureInfo::NexusOperation { .. }
            | FailureInfo::NexusHandler { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_longer_than_the_longest_timer() {
        let longest = RetryPolicy {
            initial_interval: DURATION_MAX,
            ..RetryPolicy::default()
        };
        assert_eq!(longest.problem(), None);
        assert_eq!(longest.interval_after(9), DURATION_MAX);
        let longer = Millis(DURATION_MAX.0 + 1);
        let initial = RetryPolicy {
            initial_interval: longer,
            ..RetryPolicy::default()
        };
        let maximum = RetryPolicy {
            maximum_interval: longer,
            ..RetryPolicy::default()
        };
        assert!(initial.problem().is_some() && maximum.problem().is_some());

        let mut failure = Failure::application("later", "Busy", false);
        if let FailureInfo::Application {
            next_retry_delay, ..
        } = &mut failure.info
        {
            *next_retry_delay = Some(Millis(u64::MAX));
        }
        let now = Timestamp(1);
        assert_eq!(
            longest.after(1, &failure, now, None),
            Next::RetryAt(now.after(DURATION_MAX))
        );
    }
}
