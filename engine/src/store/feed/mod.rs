//! The feed: what was committed, batch by batch, for all that follows history.

pub(crate) mod consumer;
mod cursor;
mod expire;
mod page;
mod read;
mod slot;
mod source;

pub use cursor::{Cursor, NoCursor};
pub(crate) use expire::expire;
#[cfg(test)]
pub(crate) use page::Batch;
pub use page::Change;
pub(crate) use page::Page;
pub(crate) use read::after;
pub use slot::{Latest, Slot};
pub(crate) use source::Source;
