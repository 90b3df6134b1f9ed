//! Why nothing is deleted because of its age.

use crate::limits::CLOCK_STEADY_FOR;

/// Why nothing is deleted because of its age, though it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    /// The clock by which it is old was set, or read wrong.
    #[error(
        "the database's clock said something else than it had said before; nothing is deleted until it has been steady for {} minutes",
        CLOCK_STEADY_FOR.as_secs() / 60
    )]
    ClockSet,
    /// The clock is not what this machine's says.
    #[error(
        "the database's clock and this machine's are {by_seconds} s apart; nothing is deleted until both say the same: see which is wrong"
    )]
    ClocksApart {
        /// How much later the database's is.
        by_seconds: i64,
    },
    /// It may be needed to see what was done to the log.
    #[error(
        "this process can't follow the sealed log, or another one has found lately that it is not what was signed (its SEAL_REFUSED says why, and seal_refused_until in the table cluster until when that holds); nothing is deleted until it is settled"
    )]
    LogRefused,
}

impl Doubt {
    /// Returns the stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::ClockSet | Self::ClocksApart { .. } => "CLOCK_DOUBTED",
            Self::LogRefused => "SEAL_REFUSED",
        }
    }
}
