//! Where the feed is read: a database, or memory in the simulation.

use std::{fmt, sync::Arc};

use super::{cursor::Cursor, page::Change, page::Page};
use crate::store::Answer;

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
