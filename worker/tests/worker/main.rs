//! The worker from outside: tasks go in through its channels, answers come out.
//!
//! `support::Script` plays the engine. Every turn that a test plays is replayed at its end from the whole history by
//! a fresh worker, which must ask for the same.

extern crate worker as coreason;

mod activities;
mod cancellation;
mod children;
mod drain;
mod errors;
mod foreign;
mod hello;
mod many;
mod registration;
mod replay;
mod signals;
mod support;
mod time;
