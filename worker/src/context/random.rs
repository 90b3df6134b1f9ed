//! Random numbers that are the same at every replay.

use std::ops::Range;

use history::RunId;
use uuid::{Builder, Uuid};

/// xoshiro256**, seeded by `SplitMix64` from a run id. Never change it: replays of every stored history depend on it.
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn seeded_by(run_id: RunId) -> Self {
        let (high, low) = run_id.0.as_u64_pair();
        let mut seed = high ^ low.rotate_left(32);
        let mut next = || {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Returns a number of the range, each as likely; the start of an empty one.
    pub(crate) fn within(&mut self, range: &Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        if width == 0 {
            return range.start;
        }
        // Lemire's method: the high half of a product, drawn again where the low half would favour some numbers.
        loop {
            let product = u128::from(self.next()) * u128::from(width);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the halves are what is wanted"
            )]
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= width.wrapping_neg() % width {
                return range.start + high;
            }
        }
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let bytes = (u128::from(self.next()) << 64) | u128::from(self.next());
        Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::seeded_by(RunId(Uuid::from_u128(
            0x0189_0000_0000_7000_8000_0000_0000_0001,
        )))
    }

    #[test]
    fn the_numbers_of_a_run_never_change() {
        let mut random = random();
        let numbers = [random.next(), random.next(), random.within(&(10..20))];
        assert_eq!(
            numbers,
            [4_125_427_701_130_966_214, 10_419_958_213_984_258_208, 18]
        );
        assert_eq!(
            random.uuid().to_string(),
            "565871d4-5add-4199-8904-cbb3aa2e308d"
        );
    }

    #[test]
    fn a_range_is_kept_and_an_empty_one_gives_its_start() {
        let mut random = random();
        assert!((0..1000).all(|_| (5..8).contains(&random.within(&(5..8)))));
        assert_eq!(random.within(&(7..7)), 7);
    }
}
