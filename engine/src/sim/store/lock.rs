//! Rows that are locked.

use history::Timestamp;
use uuid::Uuid;

/// A row that is locked, in the order in which each transaction locks them (`migrations/0001_core.sql`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    Slot(Uuid, i16),
    Cluster,
}

/// Who holds a row, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) backend: i32,
    pub(super) since: Timestamp,
}
