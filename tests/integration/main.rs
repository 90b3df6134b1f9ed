//! End-to-end stories.

mod support;

mod cancel;
mod command_line;
mod describe;
mod examples;
mod history;
mod list;
mod result;
mod signal;
mod start;
mod takeover;
mod terminate;
