//! How long a request is sent again that may work in a moment.

use std::time::Duration;

use tokio::time::Instant;

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
}
