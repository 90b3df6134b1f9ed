//! What time it is for what deletes: a clock that is wrong for a minute would delete what should have been kept for years.

use history::Timestamp;
use sqlx::PgPool;

use super::doubt::Doubt;
use crate::{
    clock::{self, Asked, Clock},
    limits::CLOCK_STEADY_FOR,
    store,
    world::World,
};

/// The database's clock, watched for as long as this process runs.
#[derive(Debug)]
pub(super) struct Watched {
    world: World,
    clock: Option<Clock>,
    /// When it was last seen to be set, by the boot-time clock.
    set_at: Option<i64>,
}

impl Watched {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            clock: None,
            set_at: None,
        }
    }

    /// Returns what time it is, if that can be trusted.
    pub(super) async fn now(
        &mut self,
        pool: &PgPool,
    ) -> Result<Result<Timestamp, Doubt>, store::Error> {
        let asked = Asked::now(self.world);
        let there = store::clock::now(pool).await?;
        Ok(self.judge(asked, there, clock::of_this_machine()))
    }

    /// Judges what the database's clock and this machine's say.
    fn judge(
        &mut self,
        asked: Asked,
        there: Timestamp,
        here: Timestamp,
    ) -> Result<Timestamp, Doubt> {
        let micros = (self.world.micros)();
        let watched = self
            .clock
            .get_or_insert_with(|| Clock::set_to(there, self.world));
        if !watched.sample(asked, there) {
            self.set_at = Some(micros);
        }
        if clock::are_apart(there, here) {
            return Err(Doubt::ClocksApart {
                by_seconds: there.0.saturating_sub(here.0) / 1_000_000,
            });
        }
        let steady_for = self.set_at.map(|at| micros.abs_diff(at));
        if steady_for.is_some_and(|so_far| u128::from(so_far) < CLOCK_STEADY_FOR.as_micros()) {
            return Err(Doubt::ClockSet);
        }
        Ok(watched.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::by_hand::{BOOT, WORLD};

    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;

    /// What is to be thought of a database's clock that is so far from the true time, and of this machine's.
    fn judge(watched: &mut Watched, there: i64, here: i64) -> Result<Timestamp, Doubt> {
        let now = YEAR + BOOT.get();
        let (there, here) = (Timestamp(now + there), Timestamp(now + here));
        watched.judge(Asked::now(WORLD), there, here)
    }

    #[test]
    fn clocks_that_agree_are_trusted_at_once() {
        BOOT.set(0);
        let mut watched = Watched::new(WORLD);
        assert_eq!(judge(&mut watched, 0, 0), Ok(Timestamp(YEAR)));
        BOOT.set(10 * SECOND);
        let ran_apart = judge(&mut watched, 0, 59 * SECOND);
        assert_eq!(ran_apart, Ok(Timestamp(YEAR + 10 * SECOND)));
    }

    #[test]
    fn a_clock_that_was_set_is_trusted_when_it_has_been_steady_for_a_while() {
        for by in [YEAR, -YEAR / 2] {
            BOOT.set(0);
            let mut watched = Watched::new(WORLD);
            judge(&mut watched, 0, 0).unwrap();
            // Both are of one machine, so they agree.
            for minute in 0..10 {
                BOOT.set(minute * MINUTE + SECOND);
                assert_eq!(
                    judge(&mut watched, by, by),
                    Err(Doubt::ClockSet),
                    "{minute}"
                );
            }
            BOOT.set(12 * MINUTE);
            judge(&mut watched, by, by).unwrap();
        }
    }

    #[test]
    fn one_wrong_reading_deletes_nothing() {
        BOOT.set(0);
        let mut watched = Watched::new(WORLD);
        judge(&mut watched, 0, 0).unwrap();
        BOOT.set(SECOND);
        assert_eq!(judge(&mut watched, YEAR, YEAR), Err(Doubt::ClockSet));
        BOOT.set(2 * SECOND);
        assert_eq!(judge(&mut watched, 0, 0), Err(Doubt::ClockSet));
        BOOT.set(11 * MINUTE);
        let now = judge(&mut watched, 0, 0);
        assert_eq!(now, Ok(Timestamp(YEAR + 11 * MINUTE)));
    }

    #[test]
    fn nothing_is_deleted_while_the_two_machines_do_not_agree() {
        for (there, here) in [(YEAR, 0), (-YEAR / 2, 0), (0, 61 * SECOND)] {
            BOOT.set(0);
            let mut watched = Watched::new(WORLD);
            for _ in 0..3 {
                let by_seconds = (there - here) / SECOND;
                let doubt = Err(Doubt::ClocksApart { by_seconds });
                assert_eq!(judge(&mut watched, there, here), doubt);
                BOOT.set(BOOT.get() + 20 * MINUTE);
            }
        }
    }
}
