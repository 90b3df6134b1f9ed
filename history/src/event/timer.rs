//! Events of timers.

use serde::{Deserialize, Serialize};

use crate::{
    event::is_default,
    ids::{EventId, Identity, TimerId},
    time::Millis,
};

/// Workflow code started a timer.
/// Temporal: event type 17.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerStarted {
    /// Its id, unique among those running.
    pub timer_id: TimerId,
    /// How long it runs.
    pub start_to_fire_timeout: Millis,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
}

/// The timer's time came.
/// Temporal: event type 18.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerFired {
    /// Its id.
    pub timer_id: TimerId,
    /// Its `TimerStarted` event.
    pub started_event_id: EventId,
}

/// Workflow code canceled the timer.
/// Temporal: event type 19.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerCanceled {
    /// Its id.
    pub timer_id: TimerId,
    /// Its `TimerStarted` event.
    pub started_event_id: EventId,
    /// The completion whose command made it.
    pub workflow_task_completed_event_id: EventId,
    /// The worker.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<Identity>,
}
