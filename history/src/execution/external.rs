//! Signals to others and cancellations of others that are not answered.

use std::sync::Arc;

use crate::event::Event;

/// What is sent to another workflow.
#[derive(Debug, Clone, Copy)]
pub(super) enum External {
    Signal,
    Cancel,
}

/// A signal to another workflow, or its cancellation, that is not answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalState {
    /// Its initiated event.
    pub initiated: Arc<Event>,
    /// It was answered, and the event of that waits for the end of the workflow task under way.
    pub end_is_buffered: bool,
}
