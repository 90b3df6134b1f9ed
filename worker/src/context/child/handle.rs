//! A started child.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use history::{RunId, WorkflowExecution, WorkflowId};

use super::outcome::{self, ChildOutcome};
use crate::{
    context::{External, external::Delivery, operation::OpId, state::RunState},
    definition::{SignalDefinition, WorkflowDefinition},
};

/// The operation of a started child, forgotten when the last handle is gone.
struct Running {
    state: Rc<RunState>,
    op: OpId,
    execution: WorkflowExecution,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.release(self.op, false);
    }
}

/// A started child. Dropping the handle leaves the child alone; its parent close policy decides at the end of this run.
pub struct ChildHandle<W> {
    running: Rc<Running>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDefinition> ChildHandle<W> {
    pub(super) fn new(state: Rc<RunState>, op: OpId, execution: WorkflowExecution) -> Self {
        Self {
            running: Rc::new(Running {
                state,
                op,
                execution,
            }),
            workflow: PhantomData,
        }
    }

    /// Returns its workflow id.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.running.execution.workflow_id
    }

    /// Returns its first run.
    pub fn run_id(&self) -> RunId {
        self.running.execution.run_id
    }

    /// Waits for its result; may be asked more than once.
    ///
    /// # Errors
    /// When it did not return.
    pub fn result(&self) -> ChildResult<W> {
        ChildResult {
            running: self.running.clone(),
            workflow: PhantomData,
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it can't be delivered: it has closed.
    pub fn signal<S: SignalDefinition>(&self, signal: &S) -> Delivery {
        External::child(self.running.state.clone(), self.workflow_id().clone()).signal(signal)
    }

    /// Asks it to cancel; [`result`](Self::result) says when it has ended.
    pub fn cancel(&self) {
        self.running.state.cancel_child(self.running.op);
    }
}

/// The wait for the result of a started child; see [`ChildHandle::result`].
#[must_use = "futures do nothing unless awaited"]
pub struct ChildResult<W> {
    running: Rc<Running>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDefinition> Future for ChildResult<W> {
    type Output = ChildOutcome<W>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Running { state, op, .. } = &*self.running;
        let done = ready!(state.poll(*op, context));
        outcome::end::<W>(state, *op, &done).map_or(Poll::Pending, Poll::Ready)
    }
}
