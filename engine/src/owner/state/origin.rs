//! Where a run comes from whose start is not durable yet.

use history::decide::StartWorkflow;

use crate::words::{Request, StartReply};

/// A start that is not durable yet. If its id turns out to be taken, it is decided again.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) request: Box<StartWorkflow>,
    pub(crate) reply: StartReply,
    /// What else came for the id meanwhile: nothing is decided on a run that may turn out not to be.
    pub(crate) behind: Vec<Request>,
}
