//! A member's time: what the fence compares.

use history::Timestamp;
use uuid::Uuid;

/// One process's time as a member: what the fence compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) owner: Uuid,
    pub(crate) epoch: i64,
}

/// A membership that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) term: Term,
    /// Since when this member's open runs may have no row in `open_run`.
    pub(crate) open_since: Timestamp,
}
