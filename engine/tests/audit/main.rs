//! The audit and the views on a real Postgres, over histories that are written as the engine stores them.

mod documentation;
mod partitions;
mod secret;
mod support;
mod tampering;
mod views;
