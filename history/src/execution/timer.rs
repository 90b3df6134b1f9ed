//! Running timers.
//!
//! ```text
//! running --Fired, Canceled-->   gone
//! running --Fired, buffered-->   end_is_buffered: it waits for that event, or for a cancellation that takes the event away
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
    /// It fired, and the event of that waits for the end of the workflow task under way.
    pub end_is_buffered: bool,
}
