//! How often something has failed without a reason of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::BATCH_RESENDS_MAX;

/// How often something has failed without a reason of its own.
pub(crate) struct Doubts {
    most: u32,
    /// When each takes as long as this, it is not sent so often.
    patience: Duration,
    since: Instant,
    count: u32,
}

impl Doubts {
    pub(crate) fn new(most: u32, patience: Duration) -> Self {
        Self {
            most,
            patience,
            since: Instant::now(),
            count: 0,
        }
    }

    /// Counts one more, and says whether it is not worth another try.
    pub(crate) fn are_enough(&mut self) -> bool {
        self.count += 1;
        let long = self.count >= BATCH_RESENDS_MAX && self.since.elapsed() >= 3 * self.patience;
        self.count >= self.most || long
    }
}
