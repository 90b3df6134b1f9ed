//! Events by which operators change a run from outside: its options, its properties, its pace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    event::{Memo, is_default},
    ids::{EventId, Identity, RequestId, TaskQueue},
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Who is called when something completes. Temporal: `temporal.api.common.v1.Callback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Callback {
    /// A Nexus handler, by HTTP.
    Nexus {
        /// Where.
        url: String,
        /// Headers of the call.
        #[serde(default, skip_serializing_if = "is_default")]
        header: BTreeMap<String, String>,
    },
}

/// Which version of the code a run is held to. Temporal: `temporal.api.workflow.v1.VersioningOverride`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersioningOverride {
    /// One version, until the override is taken away.
    Pinned {
        /// Which.
        version: WorkerDeploymentVersion,
    },
    /// Always the current version.
    AutoUpgrade,
}

/// A version of deployed code. Temporal: `temporal.api.deployment.v1.WorkerDeploymentVersion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerDeploymentVersion {
    /// The build.
    pub build_id: String,
    /// The deployment that it belongs to.
    pub deployment_name: String,
}

/// How tasks are ordered among those that wait. Temporal: `temporal.api.common.v1.Priority`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// From 1, the most urgent; 0 means the default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority_key: i32,
    /// Tasks of different keys take turns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fairness_key: String,
    /// How many turns the key gets; 0 means 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fairness_weight: f32,
}

/// Somebody changed properties of a run.
/// Temporal: event type 44.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct WorkflowPropertiesModifiedExternally {
    /// Where workflow tasks go from now on, if that changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_task_queue: Option<TaskQueue>,
    /// The new workflow task timeout; zero if it did not change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_workflow_task_timeout: Millis,
    /// The new run timeout; zero if it did not change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_workflow_run_timeout: Millis,
    /// The new execution timeout; zero if it did not change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_workflow_execution_timeout: Millis,
    /// Unindexed facts that changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upserted_memo: Memo,
}

/// Somebody changed properties of a pending activity.
/// Temporal: event type 45.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityPropertiesModifiedExternally {
    /// Its `ActivityTaskScheduled` event.
    pub scheduled_event_id: EventId,
    /// Its new retry policy, if that changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub new_retry_policy: Option<RetryPolicy>,
}

/// Somebody changed options of a run.
/// Temporal: event type 55.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionOptionsUpdated {
    /// The version that the run is held to from now on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub versioning_override: Option<VersioningOverride>,
    /// The run is no longer held to a version.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unset_versioning_override: bool,
    /// A start request that found this run instead of starting one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attached_request_id: Option<RequestId>,
    /// Who else is called when the run closes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attached_completion_callbacks: Vec<Callback>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// The new order among those that wait.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Option<Priority>,
}

/// Somebody stopped a run from going on, until it is unpaused.
/// Temporal: event type 58.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionPaused {
    /// Who.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: String,
    /// The request: its repetition has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// Somebody let a paused run go on.
/// Temporal: event type 59.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionUnpaused {
    /// Who.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: String,
    /// The request: its repetition has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
}

/// The run's own clock jumped ahead, because it had nothing to do but wait.
/// Temporal: event type 60.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct WorkflowExecutionTimeSkippingTransitioned {
    /// The time it jumped to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target_time: Option<Timestamp>,
    /// It does not jump again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disabled_after_fast_forward: bool,
    /// The time by the wall clock.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wall_clock_time: Option<Timestamp>,
}
