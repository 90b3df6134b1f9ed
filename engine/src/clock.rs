//! The engine's clock: Postgres's time, sampled at each renewal of the lease and carried on by the
//! boot-time clock. So engines that follow each other agree, and a jump of this machine's clock changes nothing. Nor does a single
//! sample that is a second away from the others: the next one has to say the same. Where the database's clock was set back, this one stands
//! still until that has caught up.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use history::Timestamp;

use crate::{limits::CLOCKS_APART_MAX, world::World};

/// A sample this far from the time as it was carried on, in microseconds, is doubted. Clocks that are kept right differ by less.
const DOUBTED: i64 = 1_000_000;
/// The answer to a sample that took longer, in microseconds, says little of the time by now: as long as it does not contradict it, the
/// time as it was carried on is better.
const LATE: i64 = 20_000;
/// No offset.
const NONE: i64 = i64::MIN;

/// Postgres's time, read without asking it. Never runs back.
#[derive(Debug)]
pub(crate) struct Clock {
    world: World,
    /// What to add to the boot-time clock, in microseconds.
    offset: AtomicI64,
    /// What a sample asked for that is doubted.
    doubted: AtomicI64,
    last: AtomicI64,
}

/// Returns what this machine's clock says.
pub(crate) fn of_this_machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Says whether two clocks differ by so much that one of them is wrong.
pub(crate) fn are_apart(one: Timestamp, other: Timestamp) -> bool {
    u128::from(one.0.abs_diff(other.0)) > CLOCKS_APART_MAX.as_micros()
}

/// When a sample of Postgres's time was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(i64);

impl Asked {
    pub(crate) fn now(world: World) -> Self {
        Self((world.micros)())
    }
}

impl Clock {
    /// Returns a clock that says `now` at this moment.
    pub(crate) fn set_to(now: Timestamp, world: World) -> Self {
        Self {
            world,
            offset: AtomicI64::new(now.0 - (world.micros)()),
            doubted: AtomicI64::new(NONE),
            last: AtomicI64::new(now.0),
        }
    }

    /// Takes a new sample of Postgres's time; says whether it agrees with those before it. One that does not is taken when the next
    /// one agrees with it.
    pub(crate) fn sample(&self, Asked(asked): Asked, now: Timestamp) -> bool {
        let here = (self.world.micros)();
        // What Postgres's time was then is its time now, or it is later by no more than the answer took: never too early.
        let offset = now.0 - here;
        let latest = now.0 - asked;
        let known = self.offset.load(Ordering::Relaxed);
        let agrees = |with: i64| with >= offset - DOUBTED && with <= latest + DOUBTED;
        if agrees(known) {
            self.doubted.store(NONE, Ordering::Relaxed);
            let is_late = here - asked > LATE;
            if !(is_late && (offset..=latest).contains(&known)) {
                self.offset.store(offset, Ordering::Relaxed);
            }
            return true;
        }
        let doubted = self.doubted.swap(offset, Ordering::Relaxed);
        if doubted != NONE && agrees(doubted) {
            tracing::warn!(
                by_seconds = (offset - known) / 1_000_000,
                "the database's clock was set, and is followed"
            );
            self.doubted.store(NONE, Ordering::Relaxed);
            self.offset.store(offset, Ordering::Relaxed);
        } else {
            tracing::warn!(
                by_seconds = (offset - known) / 1_000_000,
                "the database's clock says something else than before; the next sample tells"
            );
        }
        false
    }

    /// Takes note of when a sample is asked for.
    pub(crate) fn asks(&self) -> Asked {
        Asked::now(self.world)
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.world.micros)() + self.offset.load(Ordering::Relaxed);
        Timestamp(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::by_hand::{BOOT, WORLD};

    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;

    fn pass(micros: i64) {
        BOOT.set(BOOT.get() + micros);
    }

    /// Asks a database whose clock says this now, and whose answer takes so long.
    fn ask(clock: &Clock, now: i64, takes: i64) -> bool {
        let asked = Asked::now(WORLD);
        pass(takes);
        clock.sample(asked, Timestamp(now))
    }

    #[test]
    fn one_bad_sample_moves_nothing() {
        for bad in [DAY, -DAY, 3 * SECOND] {
            BOOT.set(0);
            let clock = Clock::set_to(Timestamp(100 * SECOND), WORLD);
            pass(3 * SECOND);
            assert!(!ask(&clock, 103 * SECOND + bad, 1000));
            assert_eq!(clock.now(), Timestamp(103 * SECOND + 1000));
            pass(3 * SECOND);
            assert!(ask(&clock, 106 * SECOND + 1000, 0));
            assert_eq!(clock.now(), Timestamp(106 * SECOND + 1000));
            // Another bad one, much later, is again the first.
            pass(SECOND);
            assert!(!ask(&clock, 107 * SECOND + bad, 0));
            assert_eq!(clock.now(), Timestamp(107 * SECOND + 1000));
        }
    }

    #[test]
    fn a_clock_that_was_set_is_followed_when_a_second_sample_says_so() {
        BOOT.set(0);
        let clock = Clock::set_to(Timestamp(100 * SECOND), WORLD);
        pass(SECOND);
        assert!(!ask(&clock, DAY, 0));
        pass(SECOND);
        assert!(!ask(&clock, DAY + SECOND, 0));
        assert_eq!(clock.now(), Timestamp(DAY + SECOND));
        pass(SECOND);
        assert!(ask(&clock, DAY + 2 * SECOND, 0));
    }

    #[test]
    fn two_bad_samples_that_differ_move_nothing() {
        BOOT.set(0);
        let clock = Clock::set_to(Timestamp(100 * SECOND), WORLD);
        pass(SECOND);
        assert!(!ask(&clock, DAY, 0));
        pass(SECOND);
        assert!(!ask(&clock, 2 * DAY, 0));
        assert_eq!(clock.now(), Timestamp(102 * SECOND));
    }

    #[test]
    fn a_late_answer_does_not_slow_the_clock_and_none_runs_ahead() {
        BOOT.set(0);
        let clock = Clock::set_to(Timestamp(100 * SECOND), WORLD);
        pass(3 * SECOND);
        // Asked at 103 s, answered 7 s later: by the answer alone it would be 103 s.
        assert!(ask(&clock, 103 * SECOND, 7 * SECOND));
        assert_eq!(clock.now(), Timestamp(110 * SECOND));
        // The boot-time clock is 3 ms ahead by now: a prompt answer says so.
        pass(3 * SECOND);
        assert!(ask(&clock, 113 * SECOND - 3000, 100));
        pass(SECOND);
        assert_eq!(clock.now(), Timestamp(114 * SECOND - 3000));
    }
}
