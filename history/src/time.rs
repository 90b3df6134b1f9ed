//! Time as values: nothing in this crate reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in microseconds since the Unix epoch (what Postgres's `timestamptz` holds).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the moment that much later; saturates at the end of time.
    #[must_use]
    pub fn after(self, duration: Millis) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.0.saturating_mul(1000)).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the moment that much earlier; saturates at the beginning of time.
    #[must_use]
    pub fn before(self, duration: Millis) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.0.saturating_mul(1000)).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the time from `earlier` to this moment, zero if it lies after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A duration in milliseconds, the precision of Temporal's timers. Zero means "none" where a timeout is meant.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time, or no timeout.
    pub const ZERO: Self = Self(0);

    /// Returns that many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// Says whether it is zero, for serde.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Returns itself, or nothing if zero.
    pub fn non_zero(self) -> Option<Self> {
        (self.0 != 0).then_some(self)
    }
}

impl From<Duration> for Millis {
    /// Rounds up, so that no timer fires early.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.0)
    }
}
