//! Children that have not closed.
//!
//! ```text
//! initiated --ChildWorkflowExecutionStarted-->         started
//! initiated --StartChildWorkflowExecutionFailed-->     gone
//! started   --Completed, Failed, Canceled, TimedOut, Terminated-->  gone
//! any       --one of these, buffered-->                end_is_buffered: it waits for that event
//! ```

use std::sync::Arc;

use crate::{
    event::{Event, EventKind, StartChildWorkflowExecutionInitiated},
    ids::{EventId, RunId},
};

/// A child that has not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildState {
    /// Its `StartChildWorkflowExecutionInitiated` event.
    pub initiated: Arc<Event>,
    /// Its start, once that is known.
    pub start: Option<ChildStart>,
    /// It closed or could not start, and the event of that waits for the end of the workflow task under way.
    pub end_is_buffered: bool,
}

/// The start of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildStart {
    /// Its first run.
    pub run_id: RunId,
    /// Its `ChildWorkflowExecutionStarted` event; none while that is buffered.
    pub event_id: EventId,
}

impl ChildState {
    /// Returns the id of its `StartChildWorkflowExecutionInitiated` event.
    pub fn initiated_event_id(&self) -> EventId {
        self.initiated.id
    }

    /// Says whether it is not known to have started, or not to.
    pub fn is_starting(&self) -> bool {
        self.start.is_none() && !self.end_is_buffered
    }

    /// Returns its `ChildWorkflowExecutionStarted` event; none before, and while that event is buffered.
    pub(crate) fn started_event_id(&self) -> EventId {
        self.start.map_or(EventId::NONE, |start| start.event_id)
    }

    /// Returns what it was initiated with.
    pub fn attributes(&self) -> &StartChildWorkflowExecutionInitiated {
        match &self.initiated.kind {
            EventKind::StartChildWorkflowExecutionInitiated(attributes) => attributes,
            _ => unreachable!("a child is pending from its initiated event on"),
        }
    }
}
