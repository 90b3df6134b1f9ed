//! What events do to children that have not closed.

use std::sync::Arc;

use crate::{
    event::Event,
    execution::{
        child_workflow::{ChildStart, ChildState},
        memory,
        run::Execution,
    },
    ids::{EventId, RunId},
};

impl Execution {
    pub(super) fn child_initiated(&mut self, event: &Arc<Event>) {
        self.pending_bytes += memory::kept_bytes(event);
        self.children.insert(
            event.id,
            Box::new(ChildState {
                initiated: Arc::clone(event),
                start: None,
                end_is_buffered: false,
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
            .filter(|child| child.started_event_id().is_none())
            .ok_or("the child does not wait for its start")?;
        if child.start.is_some() && event_id.is_none() {
            return Err("the child has started");
        }
        child.start = Some(ChildStart { run_id, event_id });
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
            .filter(|child| !child.end_is_buffered && child.start.is_some() == was_started)
            .ok_or("the child is not there to close")?;
        child.end_is_buffered = true;
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
            .filter(|child| child.started_event_id() == started_event_id)
            .ok_or("the child is not there to close")?;
        self.pending_bytes -= memory::kept_bytes(&child.initiated);
        self.children.remove(&initiated_event_id);
        Ok(())
    }
}
