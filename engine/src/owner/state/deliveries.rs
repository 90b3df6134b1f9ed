//! What a run delivers to others, and hears back.

use history::decide::Effect;
use tokio::time::Instant;

use crate::words::Undelivered;

/// The row of a closed run in `outbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outbox {
    /// There is none, or it goes with what is on its way.
    Empty,
    /// It is there, or comes with the close.
    Kept,
    /// Its end is on its way. Until that is durable the run stays.
    Leaving,
}

/// What a run delivers to others.
#[derive(Debug)]
pub(crate) struct Deliveries {
    /// The number of the time when it last delivered what was outstanding: an answer to what it sent before is not waited for.
    pub(crate) round: u64,
    /// Some delivery failed, and what is outstanding is to be delivered again.
    pub(crate) again: bool,
    /// Since when nothing that it sent was answered, if something has failed since.
    pub(crate) unheard_since: Option<Instant>,
    /// What it has still to deliver since it closed: nobody has answered.
    pub(crate) undelivered: Vec<Effect>,
    pub(crate) outbox: Outbox,
}

impl Deliveries {
    pub(crate) fn new(round: u64) -> Self {
        Self {
            round,
            again: false,
            unheard_since: None,
            undelivered: Vec::new(),
            outbox: Outbox::Empty,
        }
    }

    /// Takes note that something is delivered. If it is there twice, that counts for one of them.
    pub(crate) fn delivered(&mut self, what: Undelivered) {
        self.unheard_since = None;
        let mut effects = self.undelivered.iter();
        if let Some(at) = effects.position(|effect| Undelivered::of(effect) == Some(what)) {
            self.undelivered.swap_remove(at);
        }
    }

    /// Says whether a closed run has nothing to do for others any more.
    pub(crate) fn are_over(&self) -> bool {
        self.undelivered.is_empty() && self.outbox != Outbox::Leaving
    }
}
