//! Children that have not closed.
//!
//! ```text
//! initiated --ChildWorkflowExecutionStarted-->         started
//! initiated --StartChildWorkflowExecutionFailed-->     gone
//! started   --Completed, Failed, Canceled, TimedOut, Terminated-->  gone
//! any       --one of these, buffered-->                closed: it waits for its event
//! ```

use std::sync::Arc;

use super::{Execution, memory};
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

impl Execution {
    pub(super) fn child_initiated(&mut self, event: &Arc<Event>) {
        self.pending_bytes += memory::kept_bytes(event);
        self.children.insert(
            event.id,
            Box::new(ChildState {
                initiated: Arc::clone(event),
                run_id: None,
                started_event_id: EventId::NONE,
                closed: false,
            }),
        );
    }

    /// Takes note of the child's start: `event_id` is none while the event is buffered.
    pub(super) fn child_started(
        &mut self,
        initiated_event_id: EventId,
        run_id: RunId,
        event_id: EventId,
    ) -> Result<(), &'static str> {
        let child = self
            .children
            .get_mut(&initiated_event_id)
            .filter(|child| child.started_event_id.is_none())
            .ok_or("the child does not wait for its start")?;
        if child.run_id.is_some() && event_id.is_none() {
            return Err("the child has started");
        }
        child.run_id = Some(run_id);
        child.started_event_id = event_id;
        Ok(())
    }

    pub(super) fn child_close_was_buffered(
        &mut self,
        initiated_event_id: EventId,
        was_started: bool,
    ) -> Result<(), &'static str> {
        let child = self
            .children
            .get_mut(&initiated_event_id)
            .filter(|child| !child.closed && child.run_id.is_some() == was_started)
            .ok_or("the child is not there to close")?;
        child.closed = true;
        Ok(())
    }

    pub(super) fn child_closed(
        &mut self,
        initiated_event_id: EventId,
        started_event_id: EventId,
    ) -> Result<(), &'static str> {
        let child = self
            .children
            .get(&initiated_event_id)
            .filter(|child| child.started_event_id == started_event_id)
            .ok_or("the child is not there to close")?;
        self.pending_bytes -= memory::kept_bytes(&child.initiated);
        self.children.remove(&initiated_event_id);
        Ok(())
    }
}
