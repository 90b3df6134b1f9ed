//! Who waits for what a run comes to.

use history::EventId;
use tokio::sync::oneshot;

use crate::{
    Closed, Error,
    words::{Description, Reached},
};

/// Who waits for what a run comes to.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// For its description, when all that is known of it is durable.
    pub(crate) described: Vec<oneshot::Sender<Result<Description, Error>>>,
    pub(crate) closed: Vec<oneshot::Sender<Result<Closed, Error>>>,
    pub(crate) events: Vec<(EventId, oneshot::Sender<Result<Reached, Error>>)>,
}

impl Waiters {
    /// Adds somebody who waits for its end. Whoever has hung up goes when there are twice as many.
    pub(crate) fn wait_closed(&mut self, waiter: oneshot::Sender<Result<Closed, Error>>) {
        if self.closed.len().is_power_of_two() {
            self.closed.retain(|waiter| !waiter.is_closed());
        }
        self.closed.push(waiter);
    }

    /// Adds somebody who waits for events after this one, in the same way.
    pub(crate) fn wait_events(
        &mut self,
        after: EventId,
        waiter: oneshot::Sender<Result<Reached, Error>>,
    ) {
        if self.events.len().is_power_of_two() {
            self.events.retain(|(_, waiter)| !waiter.is_closed());
        }
        self.events.push((after, waiter));
    }

    /// Says whether nobody waits any more.
    pub(crate) fn are_gone(&self) -> bool {
        self.closed.iter().all(oneshot::Sender::is_closed)
            && self.events.iter().all(|(_, waiter)| waiter.is_closed())
    }

    /// Tells them that it will not be heard here.
    pub(crate) fn turn_away(&mut self, error: &dyn Fn() -> Error) {
        // Whoever hung up does not want to know.
        for waiter in self.described.drain(..) {
            let _ = waiter.send(Err(error()));
        }
        for waiter in self.closed.drain(..) {
            let _ = waiter.send(Err(error()));
        }
        for (_, waiter) in self.events.drain(..) {
            let _ = waiter.send(Err(error()));
        }
    }
}
