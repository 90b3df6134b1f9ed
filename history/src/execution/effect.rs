//! How effects are made from what is recorded, so that a crash loses none of them.

use super::{
    activity::ActivityState, child_workflow::ChildState, run::Execution,
    workflow_task::WorkflowTaskState,
};
use crate::{
    effect::{Effect, Target},
    event::{
        Event, EventKind, RequestCancelExternalWorkflowExecutionInitiated,
        SignalExternalWorkflowExecutionInitiated, StartChildWorkflowExecutionInitiated,
        WorkflowIdConflictPolicy,
    },
    ids::{EventId, Namespace, RequestId, RunId, WorkflowId},
    requests::{Parent, RequestCancel, Signal, StartWorkflow},
    time::Millis,
};

impl Effect {
    pub(crate) fn dispatch_workflow_task(task: &WorkflowTaskState) -> Self {
        Self::DispatchWorkflowTask {
            task_queue: task.task_queue.clone(),
            kind: task.kind,
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
        }
    }

    pub(crate) fn dispatch_activity_task(activity: &ActivityState) -> Self {
        Self::DispatchActivityTask {
            task_queue: activity.attributes().task_queue.clone(),
            scheduled_event_id: activity.scheduled_event_id(),
            attempt: activity.attempt,
        }
    }

    pub(crate) fn cancel_activity(activity: &ActivityState) -> Self {
        Self::CancelActivity {
            scheduled_event_id: activity.scheduled_event_id(),
            attempt: activity.attempt,
        }
    }

    /// Returns what an initiated event asks for.
    pub(crate) fn of_initiated(execution: &Execution, event: &Event) -> Option<Self> {
        match &event.kind {
            EventKind::StartChildWorkflowExecutionInitiated(attributes) => {
                Some(start_child(execution, event.id, attributes))
            }
            EventKind::SignalExternalWorkflowExecutionInitiated(attributes) => {
                Some(signal_external(execution, event.id, attributes))
            }
            EventKind::RequestCancelExternalWorkflowExecutionInitiated(attributes) => {
                Some(cancel_external(execution, event.id, attributes))
            }
            _ => None,
        }
    }
}

/// Names what a run asks of another one, so that it has its effect once however often it is delivered, also by a run that is
/// reset to a later event.
fn request_id(execution: &Execution, initiated_event_id: EventId) -> RequestId {
    let origin = execution.origin_of(initiated_event_id).run_id;
    RequestId::known(format!("{origin}:{initiated_event_id}"))
}

fn start_child(
    execution: &Execution,
    initiated_event_id: EventId,
    attributes: &StartChildWorkflowExecutionInitiated,
) -> Effect {
    Effect::StartChild {
        initiated_event_id,
        namespace: attributes.namespace.clone(),
        start: Box::new(child_start(execution, initiated_event_id, attributes)),
    }
}

/// Returns the start of a child.
pub(crate) fn child_start(
    execution: &Execution,
    initiated_event_id: EventId,
    attributes: &StartChildWorkflowExecutionInitiated,
) -> StartWorkflow {
    let this = execution.origin_of(initiated_event_id);
    let root = execution.started().root_workflow_execution.clone();
    StartWorkflow {
        workflow_id: attributes.workflow_id.clone(),
        workflow_type: attributes.workflow_type.clone(),
        task_queue: attributes.task_queue.clone(),
        input: attributes.input.clone(),
        workflow_execution_timeout: attributes.workflow_execution_timeout,
        workflow_run_timeout: attributes.workflow_run_timeout,
        workflow_task_timeout: attributes.workflow_task_timeout,
        request_id: request_id(execution, initiated_event_id),
        identity: None,
        reuse_policy: attributes.workflow_id_reuse_policy,
        conflict_policy: WorkflowIdConflictPolicy::Fail,
        retry_policy: attributes.retry_policy.clone(),
        cron_schedule: attributes.cron_schedule.clone(),
        start_delay: Millis::ZERO,
        memo: attributes.memo.clone(),
        search_attributes: attributes.search_attributes.clone(),
        header: attributes.header.clone(),
        parent: Some(Parent {
            namespace: execution.namespace().clone(),
            root: root.unwrap_or_else(|| this.clone()),
            execution: this,
            initiated_event_id,
        }),
        continued: None,
    }
}

/// Returns the run that the child of that id knows as its parent.
fn parent_of(
    execution: &Execution,
    namespace: &Namespace,
    workflow_id: &WorkflowId,
    message: EventId,
) -> RunId {
    let is_meant = |child: &&ChildState| {
        let child = child.attributes();
        child.namespace == *namespace && child.workflow_id == *workflow_id
    };
    let child = execution.children().filter(is_meant).last();
    let asked_by = child.map_or(message, ChildState::initiated_event_id);
    execution.origin_of(asked_by).run_id
}

fn signal_external(
    execution: &Execution,
    initiated_event_id: EventId,
    attributes: &SignalExternalWorkflowExecutionInitiated,
) -> Effect {
    Effect::SignalExternal {
        initiated_event_id,
        target: Target {
            namespace: attributes.namespace.clone(),
            workflow_id: attributes.workflow_id.clone(),
            run_id: attributes.run_id,
            only_child_of: attributes.child_workflow_only.then(|| {
                let (namespace, id) = (&attributes.namespace, &attributes.workflow_id);
                parent_of(execution, namespace, id, initiated_event_id)
            }),
        },
        signal: Box::new(Signal {
            signal_name: attributes.signal_name.clone(),
            input: attributes.input.clone(),
            header: attributes.header.clone(),
            identity: None,
            request_id: Some(request_id(execution, initiated_event_id)),
            external: Some((execution.origin_of(initiated_event_id), initiated_event_id)),
        }),
    }
}

fn cancel_external(
    execution: &Execution,
    initiated_event_id: EventId,
    attributes: &RequestCancelExternalWorkflowExecutionInitiated,
) -> Effect {
    Effect::CancelExternal {
        initiated_event_id,
        target: Target {
            namespace: attributes.namespace.clone(),
            workflow_id: attributes.workflow_id.clone(),
            run_id: attributes.run_id,
            only_child_of: attributes.child_workflow_only.then(|| {
                let (namespace, id) = (&attributes.namespace, &attributes.workflow_id);
                parent_of(execution, namespace, id, initiated_event_id)
            }),
        },
        cancel: Box::new(RequestCancel {
            cause: attributes.reason.clone(),
            identity: None,
            request_id: Some(request_id(execution, initiated_event_id)),
            external: Some((execution.origin_of(initiated_event_id), initiated_event_id)),
        }),
    }
}
