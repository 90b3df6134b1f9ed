//! Where the workflow task of a run is.
//!
//! ```text
//! Idle    --waits for a worker-->             Queued   --its turn came-->                         Idle
//! Idle    --nobody has cached the run-->      Reading  --read-->                                  Idle
//! Reading --no worker has room any more-->    Queued
//! Reading --can't be read-->                  Unread   --after a while-->                         Idle
//! Idle    --handed out-->                     Out      --answered, over, or its worker is gone--> Idle
//! ```

use tokio::time::Instant;

use crate::words::SessionId;

/// Where the workflow task of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskPlace {
    /// There is none, or it is looked at when the run is settled next.
    Idle,
    /// In its queue. A run that has closed stays there until the queue is pruned.
    Queued,
    /// Here, while the whole history is read for a worker that has not cached the run.
    Reading,
    /// Here: the history could not be read, and will be again after a while.
    Unread,
    /// With a worker.
    Out {
        session: SessionId,
        /// Until then what is staged waits for its commands; no more when it has been sent.
        linger_until: Option<Instant>,
    },
}

impl TaskPlace {
    /// Returns the worker that has it.
    pub(crate) fn session(self) -> Option<SessionId> {
        match self {
            Self::Out { session, .. } => Some(session),
            Self::Idle | Self::Queued | Self::Reading | Self::Unread => None,
        }
    }

    pub(crate) fn is_out(self) -> bool {
        self.session().is_some()
    }

    /// Returns until when what is staged waits for its commands.
    pub(crate) fn linger_until(self) -> Option<Instant> {
        match self {
            Self::Out { linger_until, .. } => linger_until,
            Self::Idle | Self::Queued | Self::Reading | Self::Unread => None,
        }
    }

    /// What was staged is on its way.
    pub(crate) fn linger_no_more(&mut self) {
        if let Self::Out { linger_until, .. } = self {
            *linger_until = None;
        }
    }

    /// No worker has it any more, if one had.
    pub(crate) fn take_back(&mut self) {
        if self.is_out() {
            *self = Self::Idle;
        }
    }
}
