//! What becomes of a server that is tried in vain.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that is being tried. When that is given up, the next counts as the one to begin with: whoever has no patience left for a
/// server that says nothing goes on at another one.
pub(super) struct Trying<'a> {
    latest: &'a AtomicUsize,
    this: usize,
    next: usize,
    given_up: bool,
}

impl<'a> Trying<'a> {
    /// Begins with this one of so many, of which `latest` did last.
    pub(super) fn begin(latest: &'a AtomicUsize, this: usize, of: usize) -> Self {
        Self {
            latest,
            this,
            next: (this + 1) % of,
            given_up: true,
        }
    }

    /// It has answered, or its time is over.
    pub(super) fn end(mut self) {
        self.given_up = false;
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if self.given_up {
            // Unless another one has found one that does.
            let (this, next) = (self.this, self.next);
            let _ = self
                .latest
                .compare_exchange(this, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
