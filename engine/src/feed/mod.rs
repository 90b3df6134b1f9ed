//! The feed: one source for all that follows history. A reader goes by a cursor, on any member, after any takeover: from memory what this
//! process commits, from the table `feed` the rest.

mod reader;
mod tail;

pub use reader::{FeedReader, Missed};
#[cfg(test)]
pub(crate) use tail::Limits;
pub(crate) use tail::Tail;
pub use tail::{Committed, Written};
