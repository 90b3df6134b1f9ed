//! Child workflows.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use history::{
    Command, EventKind, Failure, Millis, Payloads, RetryPolicy, TaskQueue, WorkflowId,
    command::StartChildWorkflowExecution,
    event::{Header, Memo, ParentClosePolicy, SearchAttributes, WorkflowIdReusePolicy},
};

use serde::Serialize;

use super::{
    names,
    operation::{Done, Kind, OpId},
    pending::Pending,
    state::RunState,
};
use crate::{
    definition::{WorkflowDefinition, encode},
    error::Fails,
    options::Cancellation,
};

mod handle;
mod outcome;

pub use handle::{ChildHandle, ChildResult};
use outcome::ChildOutcome;

/// A child workflow to be started; see [`Workflow::child`](super::Workflow::child). Awaited, it returns the result.
///
/// Dropped before it is done, it asks the child to cancel, unless [`cancellation`](Self::cancellation) says `Abandon`.
#[must_use = "futures do nothing unless awaited"]
pub struct Child<W: WorkflowDefinition> {
    pending: Pending<Box<StartChildWorkflowExecution>, Box<Failure>>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDefinition> Child<W> {
    pub(super) fn new(state: Rc<RunState>, input: W::Input) -> Self {
        let command = W::encode(input)
            .map(|input| Box::new(command::<W>(input)))
            .map_err(|error| names::misfit(&error, W::NAME));
        Self {
            pending: Pending::new(state, command, Cancellation::Wait),
            workflow: PhantomData,
        }
    }

    fn option(mut self, set: impl FnOnce(&mut StartChildWorkflowExecution)) -> Self {
        self.pending.option(|command| set(command));
        self
    }

    fn fallible<T, E: std::error::Error + 'static>(
        mut self,
        value: Result<T, E>,
        set: impl FnOnce(&mut StartChildWorkflowExecution, T),
    ) -> Self {
        let value = value.map_err(|error| names::misfit(&error, W::NAME));
        self.pending
            .named(value, |command, value| set(command, value));
        self
    }

    /// Its workflow id; this workflow's id, a number and part of its run id unless told.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.fallible(WorkflowId::new(id), |command, id| command.workflow_id = id)
    }

    /// The queue whose workers run it; this workflow's own unless told.
    pub fn task_queue(self, queue: impl AsRef<str>) -> Self {
        self.fallible(TaskQueue::new(queue), |command, queue| {
            command.task_queue = Some(queue);
        })
    }

    /// What happens to it when this run closes; it is terminated unless told.
    pub fn parent_close_policy(self, policy: ParentClosePolicy) -> Self {
        self.option(|command| command.parent_close_policy = policy)
    }

    /// Whether its id may have been used before.
    pub fn id_reuse_policy(self, policy: WorkflowIdReusePolicy) -> Self {
        self.option(|command| command.workflow_id_reuse_policy = policy)
    }

    /// The most time for its whole chain of runs.
    pub fn execution_timeout(self, timeout: Duration) -> Self {
        self.option(|command| command.workflow_execution_timeout = Millis::from(timeout))
    }

    /// The most time for one run of it.
    pub fn run_timeout(self, timeout: Duration) -> Self {
        self.option(|command| command.workflow_run_timeout = Millis::from(timeout))
    }

    /// The most time for one workflow task of it.
    pub fn task_timeout(self, timeout: Duration) -> Self {
        self.option(|command| command.workflow_task_timeout = Millis::from(timeout))
    }

    /// How failed runs of it are repeated; they are not unless told.
    pub fn retry(self, policy: impl Into<RetryPolicy>) -> Self {
        self.option(|command| command.retry_policy = Some(policy.into()))
    }

    /// A fact that is shown with it, by its key.
    pub fn memo(self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.fallible(encode(&value), |command, value| {
            command.memo.insert(key.into(), value);
        })
    }

    /// What lists find it by: a value of a search attribute that the namespace has declared.
    pub fn search_attribute(self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.fallible(encode(&value), |command, value| {
            command.search_attributes.insert(name.into(), value);
        })
    }

    /// What a cancellation does to it; `Wait` unless told.
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.pending.set_cancellation(cancellation);
        self
    }

    /// Starts it and waits until it has started; the handle waits for the result, signals and cancels.
    pub fn start(self) -> StartChild<W> {
        StartChild { child: self }
    }
}

impl<W: WorkflowDefinition> Future for Child<W> {
    type Output = ChildOutcome<W>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = &mut self.get_mut().pending;
        let op = match ready!(pending.operation(start)) {
            Ok(op) => op,
            Err(failure) => return Poll::Ready(Err(W::Error::at_child(*failure))),
        };
        let state = pending.state();
        let done = ready!(state.poll(op, context));
        let Some(outcome) = outcome::end::<W>(state, op, &done) else {
            return Poll::Pending;
        };
        pending.finish();
        Poll::Ready(outcome)
    }
}

fn start(
    state: &RunState,
    cancellation: Cancellation,
    mut command: Box<StartChildWorkflowExecution>,
) -> OpId {
    let (number, seed) = state.next_child();
    if command.workflow_id.as_str().is_empty() {
        command.workflow_id = names::child_id(state.facts.workflow_id(), number, seed);
    }
    state.ask(
        Kind::Child(cancellation),
        Command::StartChildWorkflowExecution(command),
    )
}

/// The start of a child; see [`Child::start`].
#[must_use = "futures do nothing unless awaited"]
pub struct StartChild<W: WorkflowDefinition> {
    child: Child<W>,
}

impl<W: WorkflowDefinition> Future for StartChild<W> {
    type Output = Result<ChildHandle<W>, <W::Error as Fails>::AtChild>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = &mut self.get_mut().child.pending;
        let op = match ready!(pending.operation(start)) {
            Ok(op) => op,
            Err(failure) => return Poll::Ready(Err(W::Error::at_child(*failure))),
        };
        let state = pending.state().clone();
        let done = ready!(state.poll_started(op, context));
        if let Done::Event(event) = &done
            && let EventKind::ChildWorkflowExecutionStarted(started) = &event.kind
        {
            pending.hand_over();
            let execution = started.workflow_execution.clone();
            return Poll::Ready(Ok(ChildHandle::new(state, op, execution)));
        }
        match outcome::end::<W>(&state, op, &done) {
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(_)) | None => Poll::Pending,
        }
    }
}

/// Returns the command with the options of the definition. The id is given when the child is first polled.
fn command<W: WorkflowDefinition>(input: Payloads) -> StartChildWorkflowExecution {
    let defaults = &W::DEFAULTS;
    StartChildWorkflowExecution {
        namespace: None,
        workflow_id: WorkflowId::known(""),
        workflow_type: W::workflow_type(),
        task_queue: None,
        input,
        workflow_execution_timeout: names::timeout(defaults.execution_timeout),
        workflow_run_timeout: names::timeout(defaults.run_timeout),
        workflow_task_timeout: names::timeout(defaults.task_timeout),
        parent_close_policy: ParentClosePolicy::default(),
        workflow_id_reuse_policy: WorkflowIdReusePolicy::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        header: Header::new(),
        memo: Memo::new(),
        search_attributes: SearchAttributes::new(),
    }
}
