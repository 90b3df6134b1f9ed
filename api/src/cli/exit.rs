//! What the exit status says.

/// Success.
pub(super) const OK: u8 = 0;
/// It did not work, or the workflow did not.
pub(super) const FAILURE: u8 = 1;
/// The words make no sense.
pub(super) const USAGE: u8 = 2;
/// The database could not be checked; that is not the same as having been found broken.
pub(super) const UNCHECKED: u8 = 3;
