//! What the shell is to do for a run: hand tasks out, and reach other workflows.

use crate::{
    event::{ParentClosePolicy, TaskQueueKind},
    ids::{EventId, Namespace, RunId, TaskQueue, WorkflowExecution, WorkflowId},
    requests::{ChildClosed, RequestCancel, Signal, StartWorkflow},
};

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
    /// Start a child, named by (this run, initiated event). Answered by [`decide::child_started`](crate::decide::child_started) or [`decide::child_start_failed`](crate::decide::child_start_failed).
    StartChild {
        /// The `StartChildWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// The start, complete with its parent and request id.
        start: Box<StartWorkflow>,
        /// The child's namespace.
        namespace: Namespace,
    },
    /// Send a signal. Answered by [`decide::external_signaled`](crate::decide::external_signaled) or [`decide::external_signal_failed`](crate::decide::external_signal_failed).
    SignalExternal {
        /// The `SignalExternalWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// The target.
        target: Target,
        /// The signal, complete with its request id.
        signal: Box<Signal>,
    },
    /// Ask another workflow to cancel. Answered by [`decide::external_cancel_requested`](crate::decide::external_cancel_requested) or [`decide::external_cancel_failed`](crate::decide::external_cancel_failed).
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
    /// This run closed for good (no new run follows): tell the parent. Answered there by [`decide::child_closed`](crate::decide::child_closed).
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
    pub workflow_id: WorkflowId,
    /// Its run; the current one if none is given.
    pub run_id: Option<RunId>,
    /// Only if it is a child of this run.
    pub only_child_of: Option<RunId>,
}
