//! What a request leads to: `decide::<verb>(&execution, request, now) -> Result<Decision, Rejection>`.
//!
//! Nothing is changed here. The caller applies the records ([`crate::Execution::apply`]), commits them, and
//! carries out the effects: a workflow task may be handed out before the commit, all else only after.

mod existing;
mod start;

mod commands;
mod workflow_task;

mod activity;
mod child_workflow;
mod external;

pub(crate) mod close;
mod deadline;
mod signal;

mod attempt;
mod draft;
mod effect;
mod next_run;
mod size;
mod wiring;

pub use crate::event::Sticky;

pub use activity::*;
pub use child_workflow::*;
pub use close::*;
pub use deadline::*;
pub use existing::*;
pub use external::*;
pub use signal::*;
pub use start::*;
pub use workflow_task::*;

use size::{
    facts_problem, failure_problem, keys_problem, payload_problem, signals_problem, text_problem,
};
use start::{duration_problem, problem as start_problem};

use crate::{
    event::{ParentClosePolicy, TaskQueueKind},
    ids::{EventId, Namespace, RunId, TaskQueue, WorkflowExecution},
    record::Record,
};

/// What a request leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What is to be applied and committed, in order. Empty when nothing changes.
    pub records: Vec<Record>,
    /// What the shell is to do, in order.
    pub effects: Vec<Effect>,
    /// Why the request was refused, if it was and `records` say so: the shell commits and answers with this.
    pub refusal: Option<Rejection>,
}

/// What a decision asks of the shell. What is outstanding can be had again from
/// [`crate::Execution::outstanding`] after a crash; receivers therefore take each twice without harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A workflow task waits for a worker. The only effect that need not wait for the commit.
    DispatchWorkflowTask {
        /// The queue it goes to.
        task_queue: TaskQueue,
        /// Whether that queue is one worker's own.
        kind: TaskQueueKind,
        /// Its `WorkflowTaskScheduled` event, or the id that it will have.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt of an activity waits for a worker.
    DispatchActivityTask {
        /// The queue it goes to.
        task_queue: TaskQueue,
        /// The `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The worker of this attempt should stop: cancellation was requested, or nobody waits for it any more.
    CancelActivity {
        /// The `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Start a child, named by (this run, initiated event). Answered by [`child_started`] or [`child_start_failed`].
    StartChild {
        /// The `StartChildWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// The start, complete with its parent and request id.
        start: Box<StartWorkflow>,
        /// The child's namespace.
        namespace: Namespace,
    },
    /// Send a signal. Answered by [`external_signaled`] or [`external_signal_failed`].
    SignalExternal {
        /// The `SignalExternalWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// The target.
        target: Target,
        /// The signal, complete with its request id.
        signal: Box<Signal>,
    },
    /// Ask another workflow to cancel. Answered by [`external_cancel_requested`] or [`external_cancel_failed`].
    CancelExternal {
        /// The `RequestCancelExternalWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// The target.
        target: Target,
        /// The request, complete with its request id.
        cancel: Box<RequestCancel>,
    },
    /// This run closed: apply the policy to an open child of it ([`ParentClosePolicy::Abandon`] never comes here).
    CloseChild {
        /// The child's `StartChildWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// What to do.
        policy: ParentClosePolicy,
        /// The child.
        target: Target,
    },
    /// This run closed for good (no new run follows): tell the parent. Answered there by [`child_closed`].
    NotifyParent {
        /// The parent's namespace.
        namespace: Namespace,
        /// The parent.
        parent: WorkflowExecution,
        /// How this run closed.
        closed: Box<ChildClosed>,
    },
    /// This run closed and another one follows: start it in the same commit.
    StartNewRun {
        /// The new run.
        run_id: RunId,
        /// Its start.
        start: Box<StartWorkflow>,
    },
}

/// Another workflow, as a workflow addresses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub workflow_id: crate::ids::WorkflowId,
    /// Its run; the current one if none is given.
    pub run_id: Option<RunId>,
    /// Only if it is a child of this run.
    pub only_child_of: Option<RunId>,
}

/// Why a request can't be done now. It changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The run is closed.
    #[error("workflow execution already completed")]
    WorkflowClosed,
    /// An open run has this id and the conflict policy is to fail.
    #[error(
        "workflow {workflow_id} is already running as run {run_id}; use another id, or the conflict policy UseExisting or TerminateExisting"
    )]
    WorkflowAlreadyStarted {
        /// The id.
        workflow_id: crate::ids::WorkflowId,
        /// The open run.
        run_id: RunId,
    },
    /// A closed run has this id and the reuse policy forbids another.
    #[error(
        "workflow {workflow_id} has run before as {run_id} and its reuse policy forbids another run; use another id or the policy AllowDuplicate"
    )]
    WorkflowIdReuseRefused {
        /// The id.
        workflow_id: crate::ids::WorkflowId,
        /// The closed run.
        run_id: RunId,
    },
    /// The token names a workflow task that is no longer current. Harmless: drop the answer.
    #[error("workflow task not found: it was answered, timed out or superseded")]
    WorkflowTaskNotFound,
    /// The token names an attempt that is over. Harmless: drop the answer.
    #[error("activity task not found: it was answered, timed out, canceled or superseded")]
    ActivityTaskNotFound,
    /// The task has been handed out already.
    #[error("the task has been started already")]
    TaskAlreadyStarted,
    /// The answer to a workflow task was refused, and the refusal recorded: see `decision`.
    #[error("{cause:?}: {message}")]
    WorkflowTaskRefused {
        /// Why.
        cause: crate::event::WorkflowTaskFailedCause,
        /// What to change.
        message: String,
    },
    /// A run takes only so many signals.
    #[error("the workflow has had {0} signals, the most a run may have; continue as new")]
    TooManySignals(usize),
    /// A value is out of its bounds.
    #[error("{field}: {problem}")]
    InvalidArgument {
        /// Which one, in the words of the request.
        field: &'static str,
        /// What to change.
        problem: String,
    },
    /// One more event would be too many, or the history is too large: the run was terminated.
    #[error(
        "the history of the run has grown beyond {0}, so it was terminated; continue as new in time"
    )]
    HistoryTooLong(&'static str),
    /// A cancellation was requested before, by another request.
    #[error("cancellation was requested already")]
    CancellationAlreadyRequested,
    /// The activity did not ask to be canceled.
    #[error("no cancellation of this activity was requested")]
    CancellationNotRequested,
}

impl Rejection {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WorkflowClosed => "WORKFLOW_CLOSED",
            Self::WorkflowAlreadyStarted { .. } => "WORKFLOW_ALREADY_STARTED",
            Self::WorkflowIdReuseRefused { .. } => "WORKFLOW_ID_REUSE_REFUSED",
            Self::WorkflowTaskNotFound => "WORKFLOW_TASK_NOT_FOUND",
            Self::ActivityTaskNotFound => "ACTIVITY_TASK_NOT_FOUND",
            Self::TaskAlreadyStarted => "TASK_ALREADY_STARTED",
            Self::WorkflowTaskRefused { .. } => "WORKFLOW_TASK_REFUSED",
            Self::TooManySignals(_) => "TOO_MANY_SIGNALS",
            Self::HistoryTooLong(_) => "HISTORY_TOO_LONG",
            Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            Self::CancellationAlreadyRequested => "CANCELLATION_ALREADY_REQUESTED",
            Self::CancellationNotRequested => "CANCELLATION_NOT_REQUESTED",
        }
    }
}
