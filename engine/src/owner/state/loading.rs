//! Runs that are being read because something asked for them.

use crate::words::Request;

/// A run that is being read.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// What waits for it.
    pub(crate) waiting: Vec<Request>,
    /// It was in memory meanwhile, and has left it: what was read may be an old story.
    pub(crate) stale: bool,
}
