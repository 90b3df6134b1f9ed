//! Events by which workflow code notes things for its own replay, or changes what is known of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    event::{Header, Memo, SearchAttributes, is_default},
    failure::Failure,
    ids::EventId,
    payload::Payloads,
};

/// Workflow code noted something for its own replay.
/// Temporal: event type 25.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarkerRecorded {
    /// What kind of note.
    pub marker_name: String,
    /// What it says, by key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: BTreeMap<String, Payloads>,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// Context that travels along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Header,
    /// A failure it notes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
}

/// Workflow code changed indexed facts.
/// Temporal: event type 40.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpsertWorkflowSearchAttributes {
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// Those that changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub search_attributes: SearchAttributes,
}

/// Workflow code changed its memo.
/// Temporal: event type 46.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowPropertiesModified {
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// Those that changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upserted_memo: Memo,
}
