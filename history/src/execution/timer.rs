//! Running timers.
//!
//! ```text
//! running --Fired, Canceled-->   gone
//! running --Fired, buffered-->   fired: it waits for its event, or for a cancellation that takes the event away
//! ```

use crate::{
    ids::{EventId, TimerId},
    time::Timestamp,
};

/// A running timer.
#[derive(Debug, Clone, PartialEq)]
pub struct TimerState {
    /// Its id.
    pub timer_id: TimerId,
    /// Its `TimerStarted` event.
    pub started_event_id: EventId,
    /// When it fires.
    pub fires_at: Timestamp,
    /// Whether it fired, and its event waits for the end of the workflow task under way.
    pub fired: bool,
}
