//! The engine's clock: Postgres's time, sampled at each renewal of the lease and carried on by the
//! boot-time clock. So engines that follow each other agree, and a jump of this machine's clock changes nothing.

use std::sync::atomic::{AtomicI64, Ordering};

use history::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// Postgres's time, read without asking it. Never runs back.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What to add to the boot-time clock, in microseconds.
    offset: AtomicI64,
    last: AtomicI64,
}

/// Returns the microseconds since boot, time asleep included.
fn boot_micros() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000)
}

impl Clock {
    /// Returns a clock that says `now` at this moment.
    pub(crate) fn set_to(now: Timestamp) -> Self {
        Self {
            offset: AtomicI64::new(now.0 - boot_micros()),
            last: AtomicI64::new(now.0),
        }
    }

    /// Takes a new sample of Postgres's time.
    pub(crate) fn sample(&self, now: Timestamp) {
        self.offset.store(now.0 - boot_micros(), Ordering::Relaxed);
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        let now = boot_micros() + self.offset.load(Ordering::Relaxed);
        Timestamp(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}
