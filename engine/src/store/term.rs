//! A member's time: what the fence compares.

use uuid::Uuid;

/// One process's time as a member: what the fence compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) owner: Uuid,
    pub(crate) epoch: i64,
}
