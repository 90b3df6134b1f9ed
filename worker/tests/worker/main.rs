//! The worker from outside: tasks go in through its channels, answers come out.
//!
//! `support::Script` plays the engine. Every turn that a test plays is replayed at its end from the whole history by
//! a fresh worker, which must ask for the same.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "clippy knows test functions, but not what they share; JSON literals are given away"
)]

extern crate worker as coreason;

mod activities;
mod blocking;
mod cancellation;
mod children;
mod drain;
mod errors;
mod facts;
mod foreign;
mod hello;
mod index_folder;
mod many;
mod names;
mod patches;
mod registration;
mod replay;
mod signals;
mod support;
mod time;
