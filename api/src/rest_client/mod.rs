//! The REST API as commands ask it, and what people read of its answers.

mod answer;
mod client;
pub(crate) mod error;
mod event;
mod notice;
mod waits;

pub(crate) use answer::Answer;
pub(crate) use client::Client;
pub(crate) use error::Error;
pub(crate) use event::Event;
pub(crate) use waits::Waits;
