//! The workflow task under way, and what ends it.

use history::{EventId, Failure, Timestamp, command::ContinueAsNewWorkflowExecution};

/// What ends the turn of workflow code other than its return.
pub(crate) enum Halt {
    /// The run goes on in a new one.
    ContinueAsNew(Box<ContinueAsNewWorkflowExecution>),
    /// Code and data don't fit together; the workflow task fails, and the run waits for a fix.
    Fail(Box<Failure>),
}

/// The workflow task under way.
pub(crate) struct Turn {
    pub(crate) now: Timestamp,
    /// It is not replayed: nobody has seen its commands.
    pub(crate) live: bool,
    pub(crate) started_event_id: EventId,
    pub(crate) suggest_continue_as_new: bool,
    pub(crate) history_size_bytes: i64,
}
