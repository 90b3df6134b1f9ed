//! End-to-end stories.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

mod blocking;
mod cancel;
mod client;
mod command_line;
mod demo;
mod describe;
mod embedded;
mod examples;
mod families;
mod fuzz;
mod history;
mod ids;
mod kills;
mod list;
mod logs;
mod memory;
mod programs;
mod questions;
mod ready;
mod result;
mod retention;
mod sealed;
mod search;
mod shared;
mod signal;
mod start;
mod takeover;
mod terminate;
mod tidy;
