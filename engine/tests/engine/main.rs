//! The engine on a real Postgres, with workers whose answers are spelled out.

#![expect(
    clippy::unwrap_used,
    clippy::default_trait_access,
    reason = "a test that can't go on fails; what is not said is the default"
)]

mod attempts;
mod check;
mod commands;
mod durability;
mod feed;
mod lifecycle;
mod lists;
mod matching;
mod memory;
mod namespaces;
mod parked;
mod requests;
mod retention;
mod sealed;
mod search;
mod support;
mod tampered;
