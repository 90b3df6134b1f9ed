//! Real faults between an engine and its Postgres, each at an exact point. After each the audit finds the histories
//! sound, and what was acknowledged is there, once.

#![expect(
    clippy::unwrap_used,
    clippy::default_trait_access,
    reason = "a test that can't go on fails; what is not said is the default"
)]

mod alarm;
mod cut;
mod encrypted;
mod failover;
mod full_disk;
mod instance;
mod killed;
mod lease;
mod ledger;
mod pooled;
mod proxy;
mod reads;
mod refusals;
mod restored;
mod role;
mod silence;
mod slow;
#[path = "../engine/support.rs"]
mod support;
mod unfit;
