//! Pending activities.
//!
//! ```text
//! scheduled --note AttemptStarted-->                        started
//! started   --note AttemptFailed-->                         backoff, the next attempt   (also from scheduled)
//! backoff   --note AttemptScheduled-->                      scheduled
//! any       --CancelRequested-->                            the same, cancellation requested
//! any       --Completed, Failed, TimedOut, Canceled-->      gone
//! any       --one of these, buffered-->                     ended: it waits for its event and is deaf to all else
//! ```
//!
//! The notes need not be recorded, so an end may find an activity whose start never was. What of them is kept, beside the
//! log: [`super::attempts`].

use std::sync::Arc;

use crate::{
    event::{ActivityTaskScheduled, Event, EventKind},
    ids::{EventId, Identity},
    payload::Payloads,
    record::AttemptFailed,
    time::Timestamp,
};

/// A pending activity.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityState {
    /// Its `ActivityTaskScheduled` event.
    pub scheduled: Arc<Event>,
    /// Which attempt it is at, from 1.
    pub attempt: u32,
    /// Where that attempt stands.
    pub state: AttemptState,
    /// How the attempt before it failed.
    pub last_failure: Option<Box<AttemptFailed>>,
    /// What the last heartbeat said, of this attempt or of one before it.
    pub heartbeat_details: Payloads,
    /// The `ActivityTaskCancelRequested` event, if there is one.
    pub cancel_requested_event_id: Option<EventId>,
    /// Its `ActivityTaskStarted` event, once it ends.
    pub(crate) started_event_id: EventId,
}

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptState {
    /// It waits for a worker.
    Scheduled {
        /// Since when.
        at: Timestamp,
    },
    /// It waits before it may be handed out.
    Backoff {
        /// Until when.
        until: Timestamp,
    },
    /// A worker has it.
    Started {
        /// Since when.
        at: Timestamp,
        /// The worker.
        identity: Option<Identity>,
        /// When it last said that it is alive; its start counts.
        heartbeat_at: Timestamp,
    },
    /// It ended, and its event waits for the end of the workflow task under way.
    Ended,
}

impl ActivityState {
    /// Returns the id of its `ActivityTaskScheduled` event.
    pub fn scheduled_event_id(&self) -> EventId {
        self.scheduled.id
    }

    /// Returns what it was scheduled with.
    pub fn attributes(&self) -> &ActivityTaskScheduled {
        match &self.scheduled.kind {
            EventKind::ActivityTaskScheduled(attributes) => attributes,
            _ => unreachable!("an activity is pending from its ActivityTaskScheduled event on"),
        }
    }

    /// Says whether a worker has the attempt.
    pub fn is_started(&self) -> bool {
        matches!(self.state, AttemptState::Started { .. })
    }

    /// Says whether it waits before its next attempt.
    pub fn is_backing_off(&self) -> bool {
        matches!(self.state, AttemptState::Backoff { .. })
    }

    /// Says whether this attempt may still be answered. One that nobody is known to have may be: the note of its start
    /// may be lost.
    pub fn is_open(&self, attempt: u32) -> bool {
        self.attempt == attempt && self.state != AttemptState::Ended
    }
}
