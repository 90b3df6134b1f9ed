//! How long a request is sent again that may work in a moment, and how often a wait looks for what keeps it.

use std::time::Duration;

use engine::limits::LONG_POLL_MAX;
use tokio::time::Instant;

/// How long it is waited, at first, before somebody looks for what keeps what he waits for from coming.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// How long a wait goes on between looks for what keeps it: each time twice as long.
pub(crate) struct Looks(Duration);

impl Looks {
    pub(crate) fn new() -> Self {
        Self(LOOK_AFTER)
    }

    /// Returns the `wait` of the next request.
    pub(crate) fn wait(&mut self) -> String {
        let wait = self.0;
        self.0 = (2 * wait).min(LONG_POLL_MAX);
        format!("{}ms", wait.as_millis())
    }
}

/// The patience of a client with one request.
pub(crate) struct Patience {
    most: Duration,
    ends_at: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(most: Duration) -> Self {
        Self {
            most,
            ends_at: None,
        }
    }

    /// Says, after a failure, whether to try again. It counts from the first one: a long poll that is cut off has used up none of it.
    pub(crate) fn lasts(&mut self, now: Instant) -> bool {
        now < *self.ends_at.get_or_insert(now + self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_from_the_first_failure() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let failed_at = Instant::now() + Duration::from_secs(20);
        assert!(patience.lasts(failed_at));
        assert!(patience.lasts(failed_at + Duration::from_secs(9)));
        assert!(!patience.lasts(failed_at + Duration::from_secs(10)));
        assert!(!Patience::new(Duration::ZERO).lasts(failed_at));
    }

    #[test]
    fn looks_become_rarer_and_never_wait_for_longer_than_a_poll_may() {
        let mut looks = Looks::new();
        let waits: Vec<_> = std::iter::repeat_with(|| looks.wait()).take(6).collect();
        let most = format!("{}ms", LONG_POLL_MAX.as_millis());
        assert_eq!(waits[..3], ["2000ms", "4000ms", "8000ms"]);
        assert_eq!(waits[5], most);
    }
}
