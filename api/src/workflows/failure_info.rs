//! What kind of failure one is, as answers say it beside what all kinds share. The client in Rust makes the same failure of it.

use history::{
    ActivityId, ActivityType, EventId, FailureInfo, Identity, Millis, Namespace, Payloads, RunId,
    WorkflowExecution, WorkflowId, WorkflowType,
    failure::{RetryState, TimeoutType},
};
use serde::{Deserialize, Serialize};

/// The kind of a failure, with what no other kind has; names and details stand beside it. Temporal: the `failure_info` of `Failure`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub(crate) enum Info {
    Application {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_retry_delay_ms: Option<Millis>,
    },
    TimedOut {
        timeout_type: TimeoutType,
    },
    Canceled,
    Terminated,
    Server,
    ResetWorkflow,
    Activity {
        activity_id: ActivityId,
        scheduled_event_id: EventId,
        started_event_id: EventId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<Identity>,
        retry_state: RetryState,
    },
    ChildWorkflowExecution {
        namespace: Namespace,
        workflow_id: WorkflowId,
        run_id: RunId,
        initiated_event_id: EventId,
        started_event_id: EventId,
        retry_state: RetryState,
    },
    NexusOperation {
        scheduled_event_id: EventId,
        endpoint: String,
        service: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        operation_token: String,
    },
    NexusHandler,
}

/// What stands beside the kind.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The error's type, or the name of the code that failed.
    pub(crate) name: String,
    pub(crate) non_retryable: bool,
    pub(crate) details: Payloads,
}

impl Info {
    pub(crate) fn of(info: &FailureInfo) -> Self {
        match info {
            FailureInfo::Application {
                next_retry_delay, ..
            } => Self::Application {
                next_retry_delay_ms: *next_retry_delay,
            },
            FailureInfo::TimedOut { timeout_type, .. } => Self::TimedOut {
                timeout_type: *timeout_type,
            },
            FailureInfo::Canceled { .. } => Self::Canceled,
            FailureInfo::Terminated => Self::Terminated,
            FailureInfo::Server { .. } => Self::Server,
            FailureInfo::ResetWorkflow { .. } => Self::ResetWorkflow,
            FailureInfo::Activity {
                scheduled_event_id,
                started_event_id,
                identity,
                activity_id,
                retry_state,
                activity_type: _,
            } => Self::Activity {
                activity_id: activity_id.clone(),
                scheduled_event_id: *scheduled_event_id,
                started_event_id: *started_event_id,
                worker: identity.clone(),
                retry_state: *retry_state,
            },
            FailureInfo::ChildWorkflowExecution {
                namespace,
                workflow_execution,
                initiated_event_id,
                started_event_id,
                retry_state,
                workflow_type: _,
            } => Self::ChildWorkflowExecution {
                namespace: namespace.clone(),
                workflow_id: workflow_execution.workflow_id.clone(),
                run_id: workflow_execution.run_id,
                initiated_event_id: *initiated_event_id,
                started_event_id: *started_event_id,
                retry_state: *retry_state,
            },
            FailureInfo::NexusOperation {
                scheduled_event_id,
                endpoint,
                service,
                operation_token,
                operation: _,
            } => Self::NexusOperation {
                scheduled_event_id: *scheduled_event_id,
                endpoint: endpoint.clone(),
                service: service.clone(),
                operation_token: operation_token.clone(),
            },
            FailureInfo::NexusHandler { .. } => Self::NexusHandler,
        }
    }

    /// Returns the whole of it.
    pub(crate) fn with(self, beside: Beside) -> FailureInfo {
        let Beside {
            name,
            non_retryable,
            details,
        } = beside;
        match self {
            Self::Application {
                next_retry_delay_ms,
            } => FailureInfo::Application {
                kind: name,
                non_retryable,
                details,
                next_retry_delay: next_retry_delay_ms,
            },
            Self::TimedOut { timeout_type } => FailureInfo::TimedOut {
                timeout_type,
                last_heartbeat_details: details,
            },
            Self::Canceled => FailureInfo::Canceled { details },
            Self::Terminated => FailureInfo::Terminated,
            Self::Server => FailureInfo::Server { non_retryable },
            Self::ResetWorkflow => FailureInfo::ResetWorkflow {
                last_heartbeat_details: details,
            },
            Self::Activity {
                activity_id,
                scheduled_event_id,
                started_event_id,
                worker,
                retry_state,
            } => FailureInfo::Activity {
                scheduled_event_id,
                started_event_id,
                identity: worker,
                activity_type: ActivityType::known(name),
                activity_id,
                retry_state,
            },
            Self::ChildWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                initiated_event_id,
                started_event_id,
                retry_state,
            } => FailureInfo::ChildWorkflowExecution {
                namespace,
                workflow_execution: WorkflowExecution {
                    workflow_id,
                    run_id,
                },
                workflow_type: WorkflowType::known(name),
                initiated_event_id,
                started_event_id,
                retry_state,
            },
            Self::NexusOperation {
                scheduled_event_id,
                endpoint,
                service,
                operation_token,
            } => FailureInfo::NexusOperation {
                scheduled_event_id,
                endpoint,
                service,
                operation: name,
                operation_token,
            },
            Self::NexusHandler => FailureInfo::NexusHandler { kind: name },
        }
    }
}
