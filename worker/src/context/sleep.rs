//! Durable timers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use history::{Command, Millis};

use super::{
    names,
    operation::{Done, Kind, OpId},
    pending::Pending,
    state::RunState,
};
use crate::{error::Canceled, options::Cancellation};

/// A durable timer; see [`Workflow::sleep`](super::Workflow::sleep). Dropped before it fired, it is canceled.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    pending: Pending<Duration, Infallible>,
}

impl Sleep {
    pub(super) fn new(state: Rc<RunState>, duration: Duration) -> Self {
        Self {
            pending: Pending::new(state, Ok(duration), Cancellation::Try),
        }
    }
}

impl Future for Sleep {
    /// An error when the workflow is asked to cancel while it sleeps.
    type Output = Result<(), Canceled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = &mut self.get_mut().pending;
        let Ok(op) = ready!(pending.operation(start));
        Poll::Ready(match ready!(pending.state().poll(op, context)) {
            Done::Event(_) => Ok(()),
            Done::Canceled => Err(Canceled::new()),
        })
    }
}

fn start(state: &RunState, _: Cancellation, duration: Duration) -> OpId {
    let command = Command::StartTimer {
        timer_id: names::timer_id(state.next_timer()),
        // A timer of no time is one of the least time: where it stands, the workflow yields.
        start_to_fire_timeout: Millis::from(duration).max(Millis(1)),
    };
    state.ask(Kind::Timer, command)
}
