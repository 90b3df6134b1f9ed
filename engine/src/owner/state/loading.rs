//! Runs that are being read because something asked for them.

use crate::owner::message::Message;

/// A run that is being read.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// What waits for it.
    pub(crate) waiting: Vec<Message>,
    /// It was in memory meanwhile, and has left it: what was read may be an old story.
    pub(crate) stale: bool,
}
