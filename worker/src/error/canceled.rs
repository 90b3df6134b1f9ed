//! The error of a wait that a cancellation ended.

use std::{error::Error as StdError, fmt};

use history::{Failure, FailureInfo, Payloads};
use serde::{Deserialize, Serialize};

use super::{Recorded, failures::SOURCE};

/// The wait was canceled. A workflow or an activity that returns it ends as canceled, if it was asked to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canceled(Recorded);

impl Canceled {
    pub(crate) fn new() -> Self {
        Self(Recorded(Box::new(failure(Payloads::default()))))
    }
}

/// Returns the failure of a cancellation.
pub(crate) fn failure(details: Payloads) -> Failure {
    let mut failure = Failure::new("canceled", FailureInfo::Canceled { details });
    SOURCE.clone_into(&mut failure.source);
    failure
}

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Canceled {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}
