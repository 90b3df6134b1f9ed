//! The error of a child workflow that fails with the user's own error.

use std::{error::Error as StdError, fmt};

use history::{Failure, FailureInfo};
use serde::{Deserialize, Serialize};

use super::{Recorded, UserError, user};

/// Why a child workflow did not return. `Failed(MyError::Declined, ..)` matches the child's own error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChildError<E> {
    /// The child returned this error.
    Failed(E, Recorded),
    /// Its time passed.
    TimedOut(Recorded),
    /// It was canceled.
    Canceled(Recorded),
    /// It was ended from outside.
    Terminated(Recorded),
    /// Anything else: it could not be started, or an activity of it failed.
    Other(Recorded),
}

impl<E> ChildError<E> {
    /// Returns what is recorded of it.
    pub fn recorded(&self) -> &Recorded {
        match self {
            Self::Failed(_, recorded)
            | Self::TimedOut(recorded)
            | Self::Canceled(recorded)
            | Self::Terminated(recorded)
            | Self::Other(recorded) => recorded,
        }
    }
}

impl<E: UserError> ChildError<E> {
    pub(super) fn of(failure: Failure) -> Self {
        let cause = failure.cause.as_deref().map(|cause| &cause.info);
        let timed_out = matches!(cause, Some(FailureInfo::TimedOut { .. }));
        let terminated = matches!(cause, Some(FailureInfo::Terminated));
        let canceled = user::canceled(&failure);
        let own = user::read(&failure);
        let recorded = Recorded(Box::new(failure));
        match own {
            Some(own) => Self::Failed(own, recorded),
            None if timed_out => Self::TimedOut(recorded),
            None if terminated => Self::Terminated(recorded),
            None if canceled => Self::Canceled(recorded),
            None => Self::Other(recorded),
        }
    }
}

impl<E> fmt::Display for ChildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorded().fmt(f)
    }
}

impl<E: fmt::Debug> StdError for ChildError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.recorded())
    }
}
