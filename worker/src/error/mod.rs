//! What workflows and activities fail with, and how it survives: every error becomes a [`Failure`](history::Failure) and comes back as what it was.

mod activity;
mod canceled;
mod child;
mod fails;
mod failures;
mod general;
mod recorded;
mod user;

pub use activity::ActivityError;
pub use canceled::Canceled;
pub use child::ChildError;
pub use fails::Fails;
pub use general::Error;
pub use recorded::Recorded;
pub use user::UserError;

pub(crate) use canceled::failure as canceled_failure;
pub(crate) use failures::{SOURCE, application, chain, chained, is_canceled};
pub(crate) use recorded::cause_of;

/// The result of workflows and activities. Any `std::error::Error` becomes an [`Error`] with `?`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
