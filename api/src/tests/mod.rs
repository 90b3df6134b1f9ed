//! Tests of the crate as a whole.

mod bad_input;
mod errors;
mod fuzz;
mod ids;
