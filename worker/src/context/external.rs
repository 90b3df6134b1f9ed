//! Signals and cancellations to other workflows.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use history::{
    Command, EventKind, Payloads, RunId, SignalName, WorkflowId,
    event::{ExternalFailedCause, Header},
};
use serde::Serialize;

use super::{
    names,
    operation::{Done, Kind},
    pending::Pending,
    state::{Halt, RunState},
};
use crate::{
    definition::{EncodeError, SignalDefinition, encode},
    options::Cancellation,
};

/// A handle to another workflow of this namespace; see [`Workflow::external`](super::Workflow::external).
#[derive(Clone)]
pub struct External {
    state: Rc<RunState>,
    workflow_id: Result<WorkflowId, NotDelivered>,
    run_id: Option<RunId>,
    child_workflow_only: bool,
}

/// Why a signal or a cancellation did not reach its target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum NotDelivered {
    /// There is no open run of that id.
    #[error("there is no open workflow of that id")]
    NotFound,
    /// The target has had as many signals as a run may have.
    #[error("the workflow has had as many signals as a run may have")]
    TooManySignals,
    /// The id is not legal.
    #[error("{0}")]
    InvalidId(String),
    /// Anything else.
    #[error("the engine gave no reason")]
    Other,
}

impl External {
    pub(super) fn new(state: Rc<RunState>, workflow_id: &str) -> Self {
        Self {
            state,
            workflow_id: WorkflowId::new(workflow_id)
                .map_err(|error| NotDelivered::InvalidId(error.to_string())),
            run_id: None,
            child_workflow_only: false,
        }
    }

    pub(super) fn child(state: Rc<RunState>, workflow_id: WorkflowId) -> Self {
        Self {
            state,
            workflow_id: Ok(workflow_id),
            run_id: None,
            child_workflow_only: true,
        }
    }

    /// Returns a handle to one run of the workflow; its current one unless told.
    #[must_use]
    pub fn run(mut self, run_id: RunId) -> Self {
        self.run_id = Some(run_id);
        self
    }

    /// Sends a signal and waits until it is in the target's history.
    ///
    /// # Errors
    /// When it can't be delivered.
    pub fn signal<S: SignalDefinition>(&self, signal: &S) -> Delivery {
        self.signal_encoded(S::NAME, encode(signal))
    }

    /// Sends a signal by its name.
    ///
    /// # Errors
    /// When it can't be delivered.
    pub fn signal_named<T: Serialize + ?Sized>(&self, name: &str, message: &T) -> Delivery {
        self.signal_encoded(name, encode(message))
    }

    fn signal_encoded(
        &self,
        name: &str,
        message: Result<history::Payload, EncodeError>,
    ) -> Delivery {
        let command = self.workflow_id.clone().and_then(|workflow_id| {
            let signal_name = SignalName::new(name)
                .map_err(|error| NotDelivered::InvalidId(error.to_string()))?;
            let message = message.map_err(|error| {
                self.state.halt(Halt::Fail(names::misfit(&error, name)));
                NotDelivered::Other
            })?;
            Ok(Command::SignalExternalWorkflowExecution {
                namespace: self.state.facts.namespace.clone(),
                workflow_id,
                run_id: self.run_id,
                signal_name,
                input: Payloads::one(message),
                child_workflow_only: self.child_workflow_only,
                header: Header::new(),
            })
        });
        self.deliver(command)
    }

    /// Asks the workflow to cancel and waits until the request is in its history.
    ///
    /// # Errors
    /// When it can't be delivered.
    pub fn cancel(&self) -> Delivery {
        let command = self.workflow_id.clone().map(|workflow_id| {
            Command::RequestCancelExternalWorkflowExecution {
                namespace: self.state.facts.namespace.clone(),
                workflow_id,
                run_id: self.run_id,
                child_workflow_only: self.child_workflow_only,
                reason: format!("asked by workflow {}", self.state.facts.workflow_id()),
            }
        });
        self.deliver(command)
    }

    fn deliver(&self, command: Result<Command, NotDelivered>) -> Delivery {
        let command = command.map(Box::new);
        Delivery {
            pending: Pending::new(self.state.clone(), command, Cancellation::Abandon),
        }
    }
}

/// A message on its way to another workflow. Once polled it goes out, also when this future is dropped.
#[must_use = "futures do nothing unless awaited"]
pub struct Delivery {
    pending: Pending<Box<Command>, NotDelivered>,
}

impl Future for Delivery {
    type Output = Result<(), NotDelivered>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = &mut self.get_mut().pending;
        let ask = |state: &RunState, _, command: Box<Command>| state.ask(Kind::External, *command);
        let op = match ready!(pending.operation(ask)) {
            Ok(op) => op,
            Err(reason) => return Poll::Ready(Err(reason)),
        };
        let done = ready!(pending.state().poll(op, context));
        let cause = match &done {
            Done::Canceled => None,
            Done::Event(event) => match &event.kind {
                EventKind::SignalExternalWorkflowExecutionFailed(failed) => Some(failed.cause),
                EventKind::RequestCancelExternalWorkflowExecutionFailed(failed) => {
                    Some(failed.cause)
                }
                _ => None,
            },
        };
        Poll::Ready(match cause {
            None => Ok(()),
            Some(ExternalFailedCause::ExternalWorkflowExecutionNotFound) => {
                Err(NotDelivered::NotFound)
            }
            Some(ExternalFailedCause::SignalCountLimitExceeded) => {
                Err(NotDelivered::TooManySignals)
            }
            Some(_) => Err(NotDelivered::Other),
        })
    }
}
