//! A command that goes out when its future is first polled, and the wait for what becomes of it.

use std::{rc::Rc, task::Poll};

use super::{operation::OpId, state::RunState};
use crate::options::Cancellation;

/// A command `C`, or the reason `R` why it can't be asked for. Dropped while it is under way, it asks to cancel, unless its
/// cancellation says `Abandon`.
pub(super) struct Pending<C, R> {
    state: Rc<RunState>,
    stage: Stage<C, R>,
    cancellation: Cancellation,
}

enum Stage<C, R> {
    New(C),
    Refused(R),
    Waiting(OpId),
    Done,
}

impl<C, R> Pending<C, R> {
    pub(super) fn new(
        state: Rc<RunState>,
        command: Result<C, R>,
        cancellation: Cancellation,
    ) -> Self {
        Self {
            state,
            stage: command.map_or_else(Stage::Refused, Stage::New),
            cancellation,
        }
    }

    pub(super) fn state(&self) -> &Rc<RunState> {
        &self.state
    }

    /// Sets an option of a command that has not gone out.
    pub(super) fn option(&mut self, set: impl FnOnce(&mut C)) {
        if let Stage::New(command) = &mut self.stage {
            set(command);
        }
    }

    /// Sets a name, or refuses the command for one that is not legal.
    pub(super) fn named<T>(&mut self, name: Result<T, R>, set: impl FnOnce(&mut C, T)) {
        match name {
            Ok(name) => self.option(|command| set(command, name)),
            Err(reason) => self.stage = Stage::Refused(reason),
        }
    }

    /// Sets what a cancellation of the workflow, or the drop of this, does to it.
    pub(super) fn set_cancellation(&mut self, cancellation: Cancellation) {
        self.cancellation = cancellation;
    }

    /// Returns the operation, after asking for it if that is still to be done. What is done, or was refused before, is never ready.
    pub(super) fn operation(
        &mut self,
        ask: impl FnOnce(&RunState, Cancellation, C) -> OpId,
    ) -> Poll<Result<OpId, R>> {
        let op = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::New(command) => ask(&self.state, self.cancellation, command),
            Stage::Waiting(op) => op,
            Stage::Refused(reason) => return Poll::Ready(Err(reason)),
            Stage::Done => return Poll::Pending,
        };
        self.stage = Stage::Waiting(op);
        Poll::Ready(Ok(op))
    }

    /// Takes note that its end was read.
    pub(super) fn finish(&mut self) {
        if let Stage::Waiting(op) = std::mem::replace(&mut self.stage, Stage::Done) {
            self.state.release(op, false);
        }
    }

    /// Leaves the operation to somebody else.
    pub(super) fn hand_over(&mut self) {
        self.stage = Stage::Done;
    }
}

impl<C, R> Drop for Pending<C, R> {
    fn drop(&mut self) {
        if let Stage::Waiting(op) = self.stage {
            let cancels = self.cancellation != Cancellation::Abandon;
            self.state.release(op, cancels);
        }
    }
}
