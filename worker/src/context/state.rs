//! The state of a run that workflow code and the driver share: what is waited for, what was asked, what came.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use history::{
    Command, Event, EventId, EventKind, Failure, Namespace, RunId, Timestamp, WorkflowExecution,
    WorkflowId,
    event::{WorkflowExecutionStarted, WorkflowTaskStarted},
    replay::{self, Ask, NonDeterminism},
};

use super::{
    operation::{Done, Kind, OpId, Operation, Stage},
    random::Random,
    signals::Inbox,
};
use crate::{driver::foreign, options::Cancellation};

/// What is known of a run from its first event and its task.
pub(crate) struct Facts {
    pub(crate) namespace: Namespace,
    pub(crate) run_id: RunId,
    pub(crate) first: Arc<Event>,
}

impl Facts {
    pub(crate) fn started(&self) -> &WorkflowExecutionStarted {
        match &self.first.kind {
            EventKind::WorkflowExecutionStarted(started) => started,
            other => unreachable!(
                "a run is built on WorkflowExecutionStarted, not {}",
                other.name()
            ),
        }
    }

    pub(crate) fn workflow_id(&self) -> &WorkflowId {
        &self.started().workflow_id
    }
}

/// What ends the turn of workflow code other than its return.
pub(crate) enum Halt {
    /// The run goes on in a new one.
    ContinueAsNew(Command),
    /// Code and data don't fit together; the workflow task fails, and the run waits for a fix.
    Fail(Box<Failure>),
}

/// The workflow task under way.
pub(crate) struct Turn {
    pub(crate) now: Timestamp,
    pub(crate) started_event_id: EventId,
    pub(crate) suggest_continue_as_new: bool,
    pub(crate) history_size_bytes: i64,
}

/// A command of the turn under way.
struct Asked {
    command: Command,
    op: Option<OpId>,
    /// The end of the run does the same, so a turn that ends the run leaves it out.
    moot_at_close: bool,
}

/// A command of the turn before, until its event is met.
struct Sent {
    ask: Ask,
    op: Option<OpId>,
}

#[derive(Default)]
struct Cancel {
    requested: bool,
    /// It was requested when nothing was waited for that it could end.
    undelivered: bool,
}

pub(crate) struct RunState {
    pub(crate) facts: Facts,
    pub(crate) root: Waker,
    /// The run leaves the cache: what is dropped with it asks for nothing.
    pub(crate) leaving: Cell<bool>,
    inner: RefCell<Inner>,
}

struct Inner {
    turn: Turn,
    random: Random,
    /// The run whose id seeds random numbers and the ids of children: a reset changes it.
    seed: RunId,
    sequence: Sequence,
    operations: Vec<Option<Operation>>,
    free: Vec<OpId>,
    /// Operations by the event that their command made, in the order of the events.
    recorded: Vec<(EventId, OpId)>,
    asked: Vec<Option<Asked>>,
    sent: VecDeque<Sent>,
    /// Where the next event of a command of the turn before stands, or would.
    next_command_event: EventId,
    inbox: Inbox,
    cancel: Cancel,
    halt: Option<Halt>,
}

/// What the next activity, timer and child are called.
#[derive(Default)]
struct Sequence {
    activities: u32,
    timers: u32,
    children: u32,
}

impl RunState {
    pub(crate) fn new(facts: Facts, root: Waker) -> Self {
        let seed = facts.started().original_execution_run_id;
        let now = facts.first.at;
        Self {
            facts,
            root,
            leaving: Cell::new(false),
            inner: RefCell::new(Inner {
                turn: Turn {
                    now,
                    started_event_id: EventId::NONE,
                    suggest_continue_as_new: false,
                    history_size_bytes: 0,
                },
                random: Random::seeded_by(seed),
                seed,
                sequence: Sequence::default(),
                operations: Vec::new(),
                free: Vec::new(),
                recorded: Vec::new(),
                asked: Vec::new(),
                sent: VecDeque::new(),
                next_command_event: EventId::NONE,
                inbox: Inbox::default(),
                cancel: Cancel::default(),
                halt: None,
            }),
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

    /// Polls the channel of a name for the next signal.
    pub(crate) fn poll_signal(&self, op: OpId, name: &str, context: &Context<'_>) -> Poll<Done> {
        let next = self.take_signal(name);
        match next {
            Some(event) => Poll::Ready(Done::Event(event)),
            None => self.poll(op, context),
        }
    }

    pub(crate) fn take_signal(&self, name: &str) -> Option<Arc<Event>> {
        self.inner.borrow_mut().inbox.take(name)
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

    pub(crate) fn begin_turn(&self, event: &Event, started: &WorkflowTaskStarted) {
        self.inner.borrow_mut().turn = Turn {
            now: event.at,
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
        let wakers = self.inner.borrow_mut().apply(event, &self.facts)?;
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

impl Inner {
    fn insert(&mut self, operation: Operation) -> OpId {
        if let Some(op) = self.free.pop() {
            self.operations[op.index()] = Some(operation);
            return op;
        }
        self.operations.push(Some(operation));
        OpId::at(self.operations.len() - 1)
    }

    fn get(&mut self, op: OpId) -> &mut Operation {
        self.operations[op.index()]
            .as_mut()
            .expect("an operation lives as long as its future")
    }

    fn find(&self, event_id: EventId) -> Option<OpId> {
        let at = self
            .recorded
            .binary_search_by_key(&event_id, |(id, _)| *id)
            .ok()?;
        Some(self.recorded[at].1)
    }

    fn forget(&mut self, event_id: EventId) {
        if let Ok(at) = self.recorded.binary_search_by_key(&event_id, |(id, _)| *id) {
            self.recorded.remove(at);
        }
    }

    fn apply(&mut self, event: &Arc<Event>, facts: &Facts) -> Result<Vec<Waker>, NonDeterminism> {
        use EventKind as E;
        let resolved = match &event.kind {
            E::ActivityTaskCompleted(e) => e.scheduled_event_id,
            E::ActivityTaskFailed(e) => e.scheduled_event_id,
            E::ActivityTaskTimedOut(e) => e.scheduled_event_id,
            E::ActivityTaskCanceled(e) => e.scheduled_event_id,
            E::TimerFired(e) => e.started_event_id,
            E::StartChildWorkflowExecutionFailed(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionCompleted(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionFailed(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionCanceled(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionTimedOut(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionTerminated(e) => e.initiated_event_id,
            E::ExternalWorkflowExecutionSignaled(e) => e.initiated_event_id,
            E::SignalExternalWorkflowExecutionFailed(e) => e.initiated_event_id,
            E::ExternalWorkflowExecutionCancelRequested(e) => e.initiated_event_id,
            E::RequestCancelExternalWorkflowExecutionFailed(e) => e.initiated_event_id,
            E::ChildWorkflowExecutionStarted(e) => {
                return Ok(self.child_started(e.initiated_event_id, event));
            }
            E::WorkflowExecutionSignaled(e) => {
                return Ok(self.signaled(e.signal_name.as_str(), event));
            }
            E::WorkflowExecutionCancelRequested(_) => {
                self.cancel.requested = true;
                return Ok(self.deliver_cancel(facts));
            }
            E::WorkflowTaskCompleted(_) => {
                self.next_command_event = event.id.next();
                return Ok(Vec::new());
            }
            kind => {
                if let Some(recorded) = Ask::of_event(kind) {
                    self.command_recorded(event, &recorded)?;
                }
                return Ok(Vec::new());
            }
        };
        Ok(self.resolve(resolved, event))
    }

    fn command_recorded(
        &mut self,
        event: &Arc<Event>,
        recorded: &Ask,
    ) -> Result<(), NonDeterminism> {
        let sent = self.sent.pop_front();
        replay::check(sent.as_ref().map(|sent| &sent.ask), event.id, recorded)?;
        self.next_command_event = event.id.next();
        if let Some(op) = sent.and_then(|sent| sent.op) {
            self.get(op).stage = Stage::Recorded(event.clone());
            self.recorded.push((event.id, op));
        }
        Ok(())
    }

    fn resolve(&mut self, command_event: EventId, event: &Arc<Event>) -> Vec<Waker> {
        let Some(op) = self.find(command_event) else {
            return Vec::new();
        };
        self.forget(command_event);
        let operation = self.get(op);
        if operation.done.is_none() {
            operation.done = Some(Done::Event(event.clone()));
        }
        operation.take_wakers()
    }

    fn child_started(&mut self, initiated: EventId, event: &Arc<Event>) -> Vec<Waker> {
        let Some(op) = self.find(initiated) else {
            return Vec::new();
        };
        let operation = self.get(op);
        operation.started = Some(Done::Event(event.clone()));
        operation.take_wakers()
    }

    fn signaled(&mut self, name: &str, event: &Arc<Event>) -> Vec<Waker> {
        self.inbox.put(name, event.clone());
        let receives = |kind: &Kind| matches!(kind, Kind::Signal(channel) if &**channel == name);
        self.operations
            .iter_mut()
            .flatten()
            .filter(|operation| receives(&operation.kind))
            .flat_map(Operation::take_wakers)
            .collect()
    }

    /// Ends what is waited for. Code that waits for the cancellation itself has taken it into its own hands:
    /// then nothing else is ended.
    fn deliver_cancel(&mut self, facts: &Facts) -> Vec<Waker> {
        let waiting = |operation: &Operation| operation.waiting && operation.done.is_none();
        let handled = self
            .operations
            .iter()
            .flatten()
            .any(|operation| waiting(operation) && matches!(operation.kind, Kind::Cancelled));
        let mut wakers = Vec::new();
        let mut delivered = false;
        for at in 0..self.operations.len() {
            let Some(operation) = self.operations[at].as_mut() else {
                continue;
            };
            let own = matches!(operation.kind, Kind::Cancelled);
            if !waiting(operation) || own != handled || matches!(operation.kind, Kind::External) {
                continue;
            }
            delivered = true;
            let cancellation = operation.kind.cancellation();
            let eliminated = matches!(operation.stage, Stage::Asked(_));
            if own || eliminated || cancellation != Cancellation::Wait {
                operation.done = Some(Done::Canceled);
                wakers.append(&mut operation.take_wakers());
            }
            if !own && cancellation != Cancellation::Abandon && !operation.cancel_asked {
                operation.cancel_asked = true;
                let operation = operation.shallow();
                self.ask_to_cancel(&operation, facts, false);
            }
        }
        self.cancel.undelivered = !delivered;
        wakers
    }

    /// Adds the command that cancels an operation, or takes back the command that has not been sent yet.
    fn ask_to_cancel(&mut self, operation: &Operation, facts: &Facts, dropped: bool) {
        let event = match &operation.stage {
            Stage::Local => return,
            Stage::Asked(at) => {
                if let Some(asked) = self.asked.get_mut(*at) {
                    *asked = None;
                }
                return;
            }
            Stage::Recorded(event) => event,
        };
        let command = match &event.kind {
            EventKind::ActivityTaskScheduled(_) => Command::RequestCancelActivityTask {
                scheduled_event_id: event.id,
            },
            EventKind::TimerStarted(timer) => Command::CancelTimer {
                timer_id: timer.timer_id.clone(),
            },
            EventKind::StartChildWorkflowExecutionInitiated(child) => {
                Command::RequestCancelExternalWorkflowExecution {
                    namespace: child.namespace.clone(),
                    workflow_id: child.workflow_id.clone(),
                    run_id: None,
                    child_workflow_only: true,
                    reason: format!("canceled by its parent {}", facts.workflow_id()),
                }
            }
            _ => return,
        };
        self.asked.push(Some(Asked {
            command,
            op: None,
            moot_at_close: dropped,
        }));
    }
}
