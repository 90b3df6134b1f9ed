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
    Command, EventId, EventKind, Failure, FailureInfo, Millis, Payloads, RetryPolicy, RunId,
    TaskQueue, WorkflowExecution, WorkflowId,
    command::StartChildWorkflowExecution,
    event::{Header, Memo, ParentClosePolicy, SearchAttributes, WorkflowIdReusePolicy},
    failure::{RetryState, TimeoutType},
};

use super::{
    External,
    external::Delivery,
    names,
    operation::{Done, Kind, OpId},
    state::{Halt, RunState},
};
use crate::{
    definition::{self, SignalDefinition, WorkflowDefinition},
    error::{Fails, SOURCE, canceled_failure},
    options::Cancellation,
};

/// What awaiting a child returns.
type ChildOutcome<W> =
    Result<<W as WorkflowDefinition>::Output, <<W as WorkflowDefinition>::Error as Fails>::AtChild>;

/// A child workflow to be started; see [`Workflow::child`](super::Workflow::child). Awaited, it returns the result.
///
/// Dropped before it is done, it asks the child to cancel, unless [`cancellation`](Self::cancellation) says `Abandon`.
#[must_use = "futures do nothing unless awaited"]
pub struct Child<W: WorkflowDefinition> {
    state: Rc<RunState>,
    stage: Stage,
    cancellation: Cancellation,
    workflow: PhantomData<fn() -> W>,
}

enum Stage {
    New(Box<StartChildWorkflowExecution>),
    Refused(Box<Failure>),
    Waiting(OpId),
    Done,
}

impl<W: WorkflowDefinition> Child<W> {
    pub(super) fn new(state: Rc<RunState>, _: W, input: W::Input) -> Self {
        let begun = match W::encode(input) {
            Ok(input) => Stage::New(Box::new(command::<W>(input))),
            Err(error) => Stage::Refused(names::misfit(&error, W::NAME)),
        };
        Self {
            state,
            stage: begun,
            cancellation: Cancellation::Wait,
            workflow: PhantomData,
        }
    }

    fn option(mut self, set: impl FnOnce(&mut StartChildWorkflowExecution)) -> Self {
        if let Stage::New(command) = &mut self.stage {
            set(command);
        }
        self
    }

    fn named<T>(
        mut self,
        name: Result<T, history::ids::InvalidId>,
        set: impl FnOnce(&mut StartChildWorkflowExecution, T),
    ) -> Self {
        match name {
            Ok(name) => self.option(|command| set(command, name)),
            Err(error) => {
                self.stage = Stage::Refused(names::misfit(&error, W::NAME));
                self
            }
        }
    }

    /// Its workflow id; this workflow's id, a number and part of its run id unless told.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.named(WorkflowId::new(id), |command, id| command.workflow_id = id)
    }

    /// The queue whose workers run it; this workflow's own unless told.
    pub fn task_queue(self, queue: impl AsRef<str>) -> Self {
        self.named(TaskQueue::new(queue), |command, queue| {
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

    /// What a cancellation does to it; `Wait` unless told.
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Starts it and waits until it has started; the handle waits for the result, signals and cancels.
    pub fn start(self) -> StartChild<W> {
        StartChild { child: self }
    }

    /// Returns the operation, after asking for the child if that is still to be done.
    fn operation(&mut self) -> Result<OpId, Option<Box<Failure>>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Waiting(op) => {
                self.stage = Stage::Waiting(op);
                Ok(op)
            }
            Stage::New(mut command) => {
                let (number, seed) = self.state.next_child();
                if command.workflow_id.as_str().is_empty() {
                    command.workflow_id =
                        names::child_id(self.state.facts.workflow_id(), number, seed);
                }
                let command = Command::StartChildWorkflowExecution(command);
                let op = self.state.ask(Kind::Child(self.cancellation), command);
                self.stage = Stage::Waiting(op);
                Ok(op)
            }
            Stage::Refused(failure) => Err(Some(failure)),
            Stage::Done => Err(None),
        }
    }
}

impl<W: WorkflowDefinition> Future for Child<W> {
    type Output = ChildOutcome<W>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.operation() {
            Ok(op) => {
                let done = ready!(this.state.poll(op, context));
                let Some(outcome) = end::<W>(&this.state, op, &done) else {
                    return Poll::Pending;
                };
                this.state.release(op, false);
                this.stage = Stage::Done;
                Poll::Ready(outcome)
            }
            Err(Some(failure)) => Poll::Ready(Err(W::Error::at_child(*failure))),
            Err(None) => Poll::Pending,
        }
    }
}

impl<W: WorkflowDefinition> Drop for Child<W> {
    fn drop(&mut self) {
        if let Stage::Waiting(op) = self.stage {
            self.state
                .release(op, self.cancellation != Cancellation::Abandon);
        }
    }
}

/// The start of a child; see [`Child::start`].
#[must_use = "futures do nothing unless awaited"]
pub struct StartChild<W: WorkflowDefinition> {
    child: Child<W>,
}

impl<W: WorkflowDefinition> Future for StartChild<W> {
    type Output = Result<ChildHandle<W>, <W::Error as Fails>::AtChild>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let child = &mut self.get_mut().child;
        let op = match child.operation() {
            Ok(op) => op,
            Err(Some(failure)) => return Poll::Ready(Err(W::Error::at_child(*failure))),
            Err(None) => return Poll::Pending,
        };
        let done = ready!(child.state.poll_started(op, context));
        if let Done::Event(event) = &done
            && let EventKind::ChildWorkflowExecutionStarted(started) = &event.kind
        {
            child.stage = Stage::Done;
            return Poll::Ready(Ok(ChildHandle {
                running: Rc::new(Running {
                    state: child.state.clone(),
                    op,
                    execution: started.workflow_execution.clone(),
                }),
                workflow: PhantomData,
            }));
        }
        match end::<W>(&child.state, op, &done) {
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(_)) | None => Poll::Pending,
        }
    }
}

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
        end::<W>(state, *op, &done).map_or(Poll::Pending, Poll::Ready)
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

/// Reads the end of a child; nothing when the result is not what the code expects, which fails the task.
fn end<W: WorkflowDefinition>(state: &RunState, op: OpId, done: &Done) -> Option<ChildOutcome<W>> {
    let mut retry_state = RetryState::Unspecified;
    let cause = match done {
        Done::Canceled => canceled_failure(Payloads::default()),
        Done::Event(event) => match &event.kind {
            EventKind::ChildWorkflowExecutionCompleted(completed) => {
                return match definition::argument(&completed.result, 0) {
                    Ok(output) => Some(Ok(output)),
                    Err(error) => {
                        state.halt(Halt::Fail(names::misfit(&error, W::NAME)));
                        None
                    }
                };
            }
            EventKind::ChildWorkflowExecutionFailed(failed) => {
                retry_state = failed.retry_state;
                failed.failure.clone()
            }
            EventKind::ChildWorkflowExecutionCanceled(canceled) => {
                canceled_failure(canceled.details.clone())
            }
            EventKind::ChildWorkflowExecutionTimedOut(timed_out) => {
                retry_state = timed_out.retry_state;
                Failure::timed_out(TimeoutType::StartToClose, Payloads::default())
            }
            EventKind::ChildWorkflowExecutionTerminated(_) => {
                Failure::new("terminated", FailureInfo::Terminated)
            }
            EventKind::StartChildWorkflowExecutionFailed(failed) => Failure::application(
                format!("workflow id {} is in use", failed.workflow_id),
                format!("{:?}", failed.cause),
                true,
            ),
            other => Failure::application(other.name(), "UnexpectedEvent", true),
        },
    };
    Some(Err(W::Error::at_child(around::<W>(
        state,
        cause,
        done,
        op,
        retry_state,
    ))))
}

/// Returns the failure of the call around that of the child, as Temporal's SDKs do.
fn around<W: WorkflowDefinition>(
    state: &RunState,
    cause: Failure,
    done: &Done,
    op: OpId,
    retry_state: RetryState,
) -> Failure {
    let initiated = state.recorded(op);
    let Some((initiated_event_id, EventKind::StartChildWorkflowExecutionInitiated(child))) =
        initiated.as_deref().map(|event| (event.id, &event.kind))
    else {
        // It was canceled before it was asked for.
        return cause;
    };
    let (run, started_event_id) = match done {
        Done::Event(event) => match &event.kind {
            EventKind::ChildWorkflowExecutionFailed(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionCanceled(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionTimedOut(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            EventKind::ChildWorkflowExecutionTerminated(e) => {
                (Some(&e.workflow_execution), e.started_event_id)
            }
            _ => (None, EventId::NONE),
        },
        Done::Canceled => (None, EventId::NONE),
    };
    let Some(workflow_execution) = run.cloned().or_else(|| state.child_execution(op)) else {
        return cause;
    };
    let mut failure = Failure::new(
        format!("child workflow `{}` failed", W::NAME),
        FailureInfo::ChildWorkflowExecution {
            namespace: child.namespace.clone(),
            workflow_execution,
            workflow_type: W::workflow_type(),
            initiated_event_id,
            started_event_id,
            retry_state,
        },
    );
    SOURCE.clone_into(&mut failure.source);
    failure.because(cause)
}
