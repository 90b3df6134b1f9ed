//! Whether what is to be committed gets there.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Since when something has waited to be committed while nothing was. What only a single workflow waits for does not count.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    /// In milliseconds since then; [`NOTHING`] while nothing waits.
    waiting_since: AtomicU64,
}

const NOTHING: u64 = u64::MAX;

impl Default for Progress {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            waiting_since: AtomicU64::new(NOTHING),
        }
    }
}

impl Progress {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NOTHING - 1)
    }

    /// Something was committed.
    pub(crate) fn committed(&self) {
        self.waiting_since.store(NOTHING, Ordering::Relaxed);
    }

    /// Says whether something is to be committed.
    pub(crate) fn waits(&self, waits: bool) {
        let since = self.waiting_since.load(Ordering::Relaxed);
        if waits && since == NOTHING {
            self.waiting_since.store(self.now(), Ordering::Relaxed);
        } else if !waits && since != NOTHING {
            self.committed();
        }
    }

    /// Returns for how long something has waited while nothing was committed.
    pub(crate) fn stalled_for(&self) -> Duration {
        match self.waiting_since.load(Ordering::Relaxed) {
            NOTHING => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_waits_while_nothing_is_committed_stalls() {
        let (second, progress) = (Duration::from_secs(1), Progress::default());
        tokio::time::advance(second).await;
        assert_eq!(progress.stalled_for(), Duration::ZERO);
        progress.waits(true);
        tokio::time::advance(second).await;
        progress.waits(true);
        assert_eq!(progress.stalled_for(), second);
        progress.committed();
        progress.waits(true);
        assert_eq!(progress.stalled_for(), Duration::ZERO);
        tokio::time::advance(second).await;
        progress.waits(false);
        assert_eq!(progress.stalled_for(), Duration::ZERO);
    }
}
