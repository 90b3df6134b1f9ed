//! The versions of Postgres that serve.

/// The oldest major version of Postgres that the engine supports.
pub(super) const MAJOR_MIN: u32 = 15;
