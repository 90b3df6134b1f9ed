//! The state of a run that workflow code and the driver share: what is waited for, what was asked, what came.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use history::{
    Command, Event, EventKind, RunId, WorkflowExecution,
    event::{WorkflowExecutionSignaled, WorkflowTaskStarted},
    patch::Patch,
    replay::{self, Ask, NonDeterminism},
    task::UnreadSignals,
};

use super::{
    inbox::{Carried, Inbox, MISFIT_BYTES_CARRIED_MAX, MISFITS_CARRIED_MAX},
    operation::{Done, Kind, OpId, Operation, Stage},
    random::Random,
};
use crate::{definition::DecodeError, driver::foreign, error::chained};

mod facts;
mod inner;
mod turn;

pub(crate) use facts::Facts;
use inner::{Asked, Inner, Sent};
pub(crate) use turn::{Halt, Turn};

pub(crate) struct RunState {
    pub(crate) facts: Facts,
    pub(crate) root: Waker,
    /// The run leaves the cache: what is dropped with it asks for nothing.
    pub(crate) leaving: Cell<bool>,
    inner: RefCell<Inner>,
}

impl RunState {
    pub(crate) fn new(facts: Facts, root: Waker) -> Self {
        let inner = RefCell::new(Inner::new(&facts));
        Self {
            facts,
            root,
            leaving: Cell::new(false),
            inner,
        }
    }

    // What workflow code reads.

    pub(crate) fn turn<T>(&self, read: impl FnOnce(&Turn) -> T) -> T {
        read(&self.inner.borrow().turn)
    }

    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.inner.borrow_mut().random)
    }

    pub(crate) fn next_activity(&self) -> u32 {
        let sequence = &mut self.inner.borrow_mut().sequence;
        sequence.activities += 1;
        sequence.activities
    }

    pub(crate) fn next_timer(&self) -> u32 {
        let sequence = &mut self.inner.borrow_mut().sequence;
        sequence.timers += 1;
        sequence.timers
    }

    /// Returns the number of the next child and the run that makes its id unlike that of any other run.
    pub(crate) fn next_child(&self) -> (u32, RunId) {
        let mut inner = self.inner.borrow_mut();
        inner.sequence.children += 1;
        (inner.sequence.children, inner.seed)
    }

    /// Takes note that workflow code has seen the request to cancel, if there is one.
    pub(crate) fn see_cancel(&self) -> bool {
        let cancel = &mut self.inner.borrow_mut().cancel;
        cancel.undelivered &= !cancel.requested;
        cancel.requested
    }

    pub(crate) fn cancel_requested(&self) -> bool {
        self.inner.borrow().cancel.requested
    }

    // What the futures of workflow code do.

    /// Adds a command, and the operation that waits for what becomes of it.
    pub(crate) fn ask(&self, kind: Kind, command: Command) -> OpId {
        let mut inner = self.inner.borrow_mut();
        let at = inner.asked.len();
        let op = inner.insert(Operation::new(kind, Stage::Asked(at)));
        inner.asked.push(Some(Asked {
            command,
            op: Some(op),
            moot_at_close: false,
        }));
        op
    }

    /// Adds an operation without a command: a wait for a signal or a cancellation.
    pub(crate) fn wait_for(&self, kind: Kind) -> OpId {
        self.inner
            .borrow_mut()
            .insert(Operation::new(kind, Stage::Local))
    }

    /// Polls an operation. What is done stays so until the operation is released.
    pub(crate) fn poll(&self, op: OpId, context: &Context<'_>) -> Poll<Done> {
        self.poll_with(op, context, |operation| operation.done.clone())
    }

    /// Polls a child for its start.
    pub(crate) fn poll_started(&self, op: OpId, context: &Context<'_>) -> Poll<Done> {
        self.poll_with(op, context, |operation| {
            operation.started.clone().or_else(|| operation.done.clone())
        })
    }

    fn poll_with(
        &self,
        op: OpId,
        context: &Context<'_>,
        done: impl FnOnce(&Operation) -> Option<Done>,
    ) -> Poll<Done> {
        let mut inner = self.inner.borrow_mut();
        let operation = inner.get(op);
        let done = done(operation);
        operation.waiting = done.is_none();
        if let Some(done) = done {
            return Poll::Ready(done);
        }
        self.register(operation, context.waker());
        Poll::Pending
    }

    /// Keeps a combinator's waker. The root's own needs no keeping: the root is polled after every turn's events.
    fn register(&self, operation: &mut Operation, waker: &Waker) {
        let known = waker.will_wake(&self.root)
            || foreign::is_probe(waker)
            || operation.wakers.iter().any(|kept| kept.will_wake(waker));
        if !known {
            operation.wakers.push(waker.clone());
        }
    }

    /// Returns the event of an operation's command.
    pub(crate) fn recorded(&self, op: OpId) -> Option<Arc<Event>> {
        match &self.inner.borrow_mut().get(op).stage {
            Stage::Recorded(event) => Some(event.clone()),
            Stage::Local | Stage::Asked(_) => None,
        }
    }

    /// Returns the run of a child that has started.
    pub(crate) fn child_execution(&self, op: OpId) -> Option<WorkflowExecution> {
        match &self.inner.borrow_mut().get(op).started {
            Some(Done::Event(event)) => match &event.kind {
                EventKind::ChildWorkflowExecutionStarted(e) => Some(e.workflow_execution.clone()),
                _ => None,
            },
            Some(Done::Canceled) | None => None,
        }
    }

    pub(crate) fn inbox<T>(&self, with: impl FnOnce(&mut Inbox) -> T) -> T {
        with(&mut self.inner.borrow_mut().inbox)
    }

    /// Leaves a signal unread that is not what the code reads it as.
    pub(crate) fn pass_over(&self, name: &str, at: usize, of: &'static str, error: &DecodeError) {
        let reason = chained(error);
        let mut inner = self.inner.borrow_mut();
        let event_id = inner.inbox.misfit(name, at, of, &reason);
        if inner.turn.live
            && let Some(event_id) = event_id
        {
            tracing::warn!(
                workflow_id = %self.facts.workflow_id(), run_id = %self.facts.run_id, signal = name, %event_id, reason,
                "a signal is not what the code reads it as; it stays unread"
            );
        }
    }

    /// Adds a command that nobody waits for.
    pub(crate) fn note(&self, command: Command) {
        self.inner.borrow_mut().note(command);
    }

    /// Says whether the run has a patch, and notes that it does.
    pub(crate) fn patched(&self, id: &str, deprecated: bool) -> bool {
        let mut inner = self.inner.borrow_mut();
        let live = inner.turn.live;
        let (patched, noted) = inner.patches.ask(id, live);
        if noted {
            let patch = Patch {
                id: id.to_owned(),
                deprecated,
            };
            inner.note(patch.command());
        }
        patched
    }

    /// Returns the signals that go over to the run that goes on from this one.
    pub(crate) fn signals_for_next(&self) -> Vec<WorkflowExecutionSignaled> {
        let inner = self.inner.borrow();
        let Carried { signals, left } = inner.inbox.carried();
        if inner.turn.live
            && let (Some(first_event_id), Some(last_event_id)) = (left.first(), left.last())
        {
            tracing::warn!(
                workflow_id = %self.facts.workflow_id(), run_id = %self.facts.run_id, %first_event_id, %last_event_id,
                "{} signals that are not what the code reads them as stay behind in this run, which goes on in a new one: \
                 the latest {MISFITS_CARRIED_MAX}, of up to {MISFIT_BYTES_CARRIED_MAX} bytes together, go over",
                left.len()
            );
        }
        signals
    }

    /// Forgets an operation whose future is gone. With `cancel`, what it asked for is canceled if it is not done.
    pub(crate) fn release(&self, op: OpId, cancel: bool) {
        if self.leaving.get() {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        let Some(operation) = inner.operations.get_mut(op.index()).and_then(Option::take) else {
            return;
        };
        inner.free.push(op);
        if let Stage::Asked(at) = operation.stage
            && let Some(Some(asked)) = inner.asked.get_mut(at)
            && asked.op == Some(op)
        {
            asked.op = None;
        }
        if let Stage::Recorded(event) = &operation.stage {
            inner.forget(event.id);
        }
        if cancel && operation.done.is_none() && !operation.cancel_asked {
            inner.ask_to_cancel(&operation, &self.facts, true);
        }
    }

    /// Asks for the cancellation of a child, by its handle.
    pub(crate) fn cancel_child(&self, op: OpId) {
        let mut inner = self.inner.borrow_mut();
        let operation = inner.get(op);
        if operation.done.is_some() || operation.cancel_asked {
            return;
        }
        operation.cancel_asked = true;
        let operation = operation.shallow();
        inner.ask_to_cancel(&operation, &self.facts, false);
    }

    /// Ends the turn of workflow code; the first reason stays.
    pub(crate) fn halt(&self, halt: Halt) {
        self.inner.borrow_mut().halt.get_or_insert(halt);
    }

    // What the driver does.

    pub(crate) fn take_halt(&self) -> Option<Halt> {
        self.inner.borrow_mut().halt.take()
    }

    /// Begins a turn; what follows in the history, if it is replayed, is at hand.
    pub(crate) fn begin_turn(
        &self,
        event: &Event,
        started: &WorkflowTaskStarted,
        following: &[Arc<Event>],
    ) {
        let mut inner = self.inner.borrow_mut();
        inner.patches.look_ahead(following);
        inner.turn = Turn {
            now: event.at,
            live: following.is_empty(),
            started_event_id: event.id,
            suggest_continue_as_new: started.suggest_continue_as_new,
            history_size_bytes: started.history_size_bytes,
        };
    }

    pub(crate) fn reseed(&self, run_id: RunId) {
        let mut inner = self.inner.borrow_mut();
        inner.random = Random::seeded_by(run_id);
        inner.seed = run_id;
    }

    /// Says which signals nobody has read.
    pub(crate) fn unread_signals(&self) -> Vec<UnreadSignals> {
        self.inner.borrow().inbox.report()
    }

    /// Says whether workflow code waits for anything that this engine will bring.
    pub(crate) fn waits(&self) -> bool {
        self.inner
            .borrow()
            .operations
            .iter()
            .flatten()
            .any(|operation| operation.waiting && operation.done.is_none())
    }

    /// Returns the commands of the turn, and keeps what is needed to meet their events.
    pub(crate) fn take_commands(&self, closing: bool) -> Vec<Command> {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let mut commands = Vec::with_capacity(inner.asked.len() + usize::from(closing));
        for asked in inner.asked.drain(..).flatten() {
            if closing && asked.moot_at_close {
                continue;
            }
            if let Some(ask) = Ask::of_command(&asked.command) {
                inner.sent.push_back(Sent { ask, op: asked.op });
            }
            commands.push(asked.command);
        }
        commands
    }

    /// Keeps what is needed to meet the event of the command that closes the run.
    pub(crate) fn expect_close(&self, command: &Command) {
        if let Some(ask) = Ask::of_command(command) {
            self.inner
                .borrow_mut()
                .sent
                .push_back(Sent { ask, op: None });
        }
    }

    /// Checks that the history has an event for every command of the turn before.
    pub(crate) fn finish_commands(&self) -> Result<(), NonDeterminism> {
        let inner = self.inner.borrow();
        replay::finish(
            inner.sent.front().map(|sent| &sent.ask),
            inner.next_command_event,
        )
    }

    /// Takes in an event: matches it with a command of the turn before, or resolves what waits for it.
    pub(crate) fn apply(&self, event: &Arc<Event>) -> Result<(), NonDeterminism> {
        let wakers = self.inner.borrow_mut().apply(event)?;
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Delivers a cancellation that found nothing to end when it came; says whether it does now.
    pub(crate) fn deliver_cancel(&self) -> bool {
        let (delivered, wakers) = {
            let mut inner = self.inner.borrow_mut();
            if !inner.cancel.undelivered {
                return false;
            }
            let wakers = inner.deliver_cancel(&self.facts);
            (!inner.cancel.undelivered, wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        delivered
    }
}
