//! The codes by which a server says what kind of failure it met, as far as the engine tells them apart.

/// The class of codes that speak of values. Postgres: `data_exception`.
pub(crate) const DATA_EXCEPTION: &str = "22";
/// A statement took too long. Postgres: `query_canceled`.
pub(crate) const QUERY_CANCELED: &str = "57014";
/// Another session keeps a lock for too long. Postgres: `lock_not_available`.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Two sessions wait for each other. Postgres: `deadlock_detected`.
pub(crate) const DEADLOCK_DETECTED: &str = "40P01";
/// There is no such table. Postgres: `undefined_table`.
pub(crate) const UNDEFINED_TABLE: &str = "42P01";
/// There is no such column. Postgres: `undefined_column`.
pub(crate) const UNDEFINED_COLUMN: &str = "42703";
/// The role has no right to what it asks for. Postgres: `insufficient_privilege`.
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// The process that sent a batch has its slot no more. Raised by `commit_batch` alone.
pub(crate) const FENCED: &str = "CR001";
/// This database archives what it deletes, and the process that deletes has no archive. Raised by `expire_runs` alone.
pub(crate) const NO_ARCHIVE: &str = "CR002";
