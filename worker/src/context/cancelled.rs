//! The wait for a request to cancel this workflow.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    operation::{Kind, OpId},
    state::RunState,
};

/// The wait for a request to cancel; see [`Workflow::cancelled`](super::Workflow::cancelled).
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled {
    state: Rc<RunState>,
    op: Option<OpId>,
}

impl Cancelled {
    pub(super) fn new(state: Rc<RunState>) -> Self {
        Self { state, op: None }
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.state.see_cancel() {
            return Poll::Ready(());
        }
        let state = &this.state;
        let op = *this
            .op
            .get_or_insert_with(|| state.wait_for(Kind::Cancelled));
        state.poll(op, context).map(|_| ())
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.state.release(op, false);
        }
    }
}
