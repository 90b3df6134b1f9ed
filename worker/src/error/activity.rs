//! The error of a call to an activity that fails with the user's own error.

use std::{error::Error as StdError, fmt};

use history::{Failure, FailureInfo, failure::TimeoutType};
use serde::{Deserialize, Serialize};

use super::{Recorded, UserError, user};

/// Why a call to an activity did not return. `Failed(MyError::Declined, ..)` matches the activity's own error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivityError<E> {
    /// The activity returned this error and its retry policy gave up.
    Failed(E, Recorded),
    /// A timeout passed and its retry policy gave up.
    TimedOut(TimeoutType, Recorded),
    /// It was canceled.
    Canceled(Recorded),
    /// Anything else: it panicked, or no worker knows it.
    Other(Recorded),
}

impl<E> ActivityError<E> {
    /// Returns what is recorded of it.
    pub fn recorded(&self) -> &Recorded {
        match self {
            Self::Failed(_, recorded)
            | Self::TimedOut(_, recorded)
            | Self::Canceled(recorded)
            | Self::Other(recorded) => recorded,
        }
    }
}

impl<E: UserError> ActivityError<E> {
    pub(super) fn of(failure: Failure) -> Self {
        let timeout = match failure.cause.as_deref().map(|cause| &cause.info) {
            Some(FailureInfo::TimedOut { timeout_type, .. }) => Some(*timeout_type),
            _ => None,
        };
        let canceled = user::canceled(&failure);
        let own = user::read(&failure);
        let recorded = Recorded(Box::new(failure));
        match (own, timeout) {
            (Some(own), _) => Self::Failed(own, recorded),
            (None, Some(timeout)) => Self::TimedOut(timeout, recorded),
            (None, None) if canceled => Self::Canceled(recorded),
            (None, None) => Self::Other(recorded),
        }
    }
}

impl<E> fmt::Display for ActivityError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorded().fmt(f)
    }
}

impl<E: fmt::Debug> StdError for ActivityError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.recorded())
    }
}
