//! Random choices that a seed repeats.

use std::{
    env,
    io::{self, Write as _},
    thread,
};

/// Returns the dice of each case: as many as `COREASON_FUZZ_CASES` says, or this many.
pub fn cases(usually: u64) -> impl Iterator<Item = Dice> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let first: u64 = number("COREASON_FUZZ_SEED").unwrap_or(1);
    let count = number("COREASON_FUZZ_CASES").unwrap_or(usually);
    (first..first.saturating_add(count)).map(Dice::new)
}

/// Random choices, and the seed that repeats them (`SplitMix64`).
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// Returns the dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        let bits = self.bits() >> 33;
        usize::try_from(bits).unwrap_or(0) % end.max(1)
    }

    /// Says yes once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of several, of which there must be one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if thread::panicking() {
            // There is nowhere left to say that the terminal is gone.
            let _ = writeln!(
                io::stderr(),
                "once more: COREASON_FUZZ_SEED={} COREASON_FUZZ_CASES=1",
                self.seed
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_repeats_its_choices() {
        let choices = |seed| {
            let mut dice = Dice::new(seed);
            [dice.below(1000), dice.below(1000), dice.below(1000)]
        };

        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
    }
}
