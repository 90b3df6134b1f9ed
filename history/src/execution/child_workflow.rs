//! Children that have not closed.
//!
//! ```text
//! initiated --ChildWorkflowExecutionStarted-->         started
//! initiated --StartChildWorkflowExecutionFailed-->     gone
//! started   --Completed, Failed, Canceled, TimedOut, Terminated-->  gone
//! any       --one of these, buffered-->                closed: it waits for its event
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
    /// Its first run, once it is known to have started.
    pub run_id: Option<RunId>,
    /// Its `ChildWorkflowExecutionStarted` event; none before, and while that event is buffered.
    pub started_event_id: EventId,
    /// Whether it closed or could not start, and its event waits for the end of the workflow task under way.
    pub closed: bool,
}

impl ChildState {
    /// Returns the id of its `StartChildWorkflowExecutionInitiated` event.
    pub fn initiated_event_id(&self) -> EventId {
        self.initiated.id
    }

    /// Returns what it was initiated with.
    pub fn attributes(&self) -> &StartChildWorkflowExecutionInitiated {
        match &self.initiated.kind {
            EventKind::StartChildWorkflowExecutionInitiated(attributes) => attributes,
            _ => unreachable!("a child is pending from its initiated event on"),
        }
    }
}
