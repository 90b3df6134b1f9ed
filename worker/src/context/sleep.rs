//! Durable timers.

use std::{
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
    state::RunState,
};
use crate::error::Canceled;

/// A durable timer; see [`Workflow::sleep`](super::Workflow::sleep). Dropped before it fired, it is canceled.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: Rc<RunState>,
    duration: Duration,
    op: Option<OpId>,
}

impl Sleep {
    pub(super) fn new(state: Rc<RunState>, duration: Duration) -> Self {
        Self {
            state,
            duration,
            op: None,
        }
    }

    fn start(&self) -> OpId {
        let command = Command::StartTimer {
            timer_id: names::timer_id(self.state.next_timer()),
            // A timer of no time is one of the least time: where it stands, the workflow yields.
            start_to_fire_timeout: Millis::from(self.duration).max(Millis(1)),
        };
        self.state.ask(Kind::Timer, command)
    }
}

impl Future for Sleep {
    /// An error when the workflow is asked to cancel while it sleeps.
    type Output = Result<(), Canceled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let op = match this.op {
            Some(op) => op,
            None => *this.op.insert(this.start()),
        };
        Poll::Ready(match ready!(this.state.poll(op, context)) {
            Done::Event(_) => Ok(()),
            Done::Canceled => Err(Canceled::new()),
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.state.release(op, true);
        }
    }
}
