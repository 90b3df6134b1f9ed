//! The feed: what was committed, batch by batch, for all that follows history.

mod cursor;
mod expire;
mod page;
mod read;

use std::{fmt, sync::Arc};

use super::Answer;
pub use cursor::{CURSOR_BYTES_MAX, Cursor, NoCursor, Slot};
pub(crate) use expire::expire;
pub use page::Change;
pub(crate) use page::{Batch, Page};

/// Where the feed is read.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Returns the batches behind a cursor, at most so many; `None` where some that it has not read were deleted, or it has read more
    /// than there is.
    fn after<'a>(&'a self, cursor: &'a Cursor, most: i64) -> Answer<'a, Option<Page>>;
    /// Returns the cursor behind everything that is committed.
    fn end(&self) -> Answer<'_, Cursor>;
    /// Returns the records of rows, in that order; `None` for those that are gone.
    fn records<'a>(&'a self, of: &'a [Change]) -> Answer<'a, Vec<Option<Arc<str>>>>;
}
