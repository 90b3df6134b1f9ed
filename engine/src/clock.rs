//! The engine's clock: Postgres's time, sampled at each renewal of the lease and carried on by the
//! boot-time clock. So engines that follow each other agree, and a jump of this machine's clock changes nothing.

use std::sync::atomic::{AtomicI64, Ordering};

use history::Timestamp;

use crate::world::World;

/// Postgres's time, read without asking it. Never runs back.
#[derive(Debug)]
pub(crate) struct Clock {
    world: World,
    /// What to add to the boot-time clock, in microseconds.
    offset: AtomicI64,
    last: AtomicI64,
}

impl Clock {
    /// Returns a clock that says `now` at this moment.
    pub(crate) fn set_to(now: Timestamp, world: World) -> Self {
        Self {
            world,
            offset: AtomicI64::new(now.0 - (world.micros)()),
            last: AtomicI64::new(now.0),
        }
    }

    /// Takes a new sample of Postgres's time.
    pub(crate) fn sample(&self, now: Timestamp) {
        self.offset
            .store(now.0 - (self.world.micros)(), Ordering::Relaxed);
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.world.micros)() + self.offset.load(Ordering::Relaxed);
        Timestamp(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}
