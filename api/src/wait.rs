//! How long a request waits for what it asks about: `wait=20s`, `wait=true`.

use std::time::Duration;

use engine::limits::LONG_POLL_MAX;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::duration::Human;

/// A `wait` in a query string: a duration of at most [`LONG_POLL_MAX`], or `true` for that long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Option<Duration>);

impl Wait {
    /// Returns how long to wait: not at all unless told.
    pub(crate) fn or_not(self) -> Duration {
        self.0.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match &*text {
            "" | "true" => return Ok(Self(Some(LONG_POLL_MAX))),
            "false" => return Ok(Self(None)),
            _ => {}
        }
        let Human(wait) = text.parse().map_err(D::Error::custom)?;
        if wait > LONG_POLL_MAX {
            return Err(D::Error::custom(format!(
                "the longest wait is {}; ask again after it",
                Human(LONG_POLL_MAX)
            )));
        }
        Ok(Self(Some(wait)))
    }
}
