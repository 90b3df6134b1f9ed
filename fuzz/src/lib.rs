//! Seeded damage to text and JSON, for tests that say: whatever comes in, an error and never a panic.
//!
//! A test goes over [`cases`], each with a [`Dice`] of its own seed; a case that panics prints the seed. By default they are
//! few and always the same. `COREASON_FUZZ_CASES` says how many, `COREASON_FUZZ_SEED` with which seed they begin.

mod dice;
pub mod json;
pub mod text;

pub use dice::{Dice, cases};
