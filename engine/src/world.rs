//! What differs from run to run by nature: time and chance. The simulation puts its own in their place.

use nix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// Where an engine takes time and chance from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    /// Microseconds since some moment, time asleep included; never runs back.
    pub(crate) micros: fn() -> i64,
    /// 128 random bits.
    pub(crate) random: fn() -> u128,
}

impl World {
    /// This machine's.
    pub(crate) const REAL: Self = Self {
        micros: boot_micros,
        random: || Uuid::new_v4().as_u128(),
    };

    /// Returns a new name for something of this process.
    pub(crate) fn uuid(self) -> Uuid {
        uuid::Builder::from_random_bytes((self.random)().to_be_bytes()).into_uuid()
    }
}

/// Returns the microseconds since boot.
fn boot_micros() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000)
}

/// A world whose time stands still until it is moved.
#[cfg(test)]
pub(crate) mod by_hand {
    use std::cell::Cell;

    use super::World;

    thread_local! {
        /// The microseconds since some moment, in each test.
        pub(crate) static BOOT: Cell<i64> = const { Cell::new(0) };
    }

    /// Takes the time from [`BOOT`].
    pub(crate) const WORLD: World = World {
        micros: || BOOT.get(),
        random: || 0,
    };
}
