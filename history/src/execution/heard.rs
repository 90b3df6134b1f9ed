//! The requests that a run knows.

use std::collections::BTreeSet;

use super::memory;
use crate::requests::{RequestDigest, RequestsHeard, StartHeard};

/// The requests that a run knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Requests {
    /// What the runs before it heard, the oldest first.
    pub(super) before: Box<[RequestsHeard]>,
    /// The signals and cancellations that it heard itself, in the order in which they came.
    pub(super) messages: Vec<RequestDigest>,
    /// The starts that attached to it.
    pub(super) attached: Vec<RequestDigest>,
    /// All signals and cancellations, those of the runs before it among them.
    pub(super) known: BTreeSet<RequestDigest>,
}

impl Requests {
    pub(super) fn bytes(&self) -> usize {
        let starts: usize = self.before.iter().map(|heard| heard.starts.len()).sum();
        let own = self.messages.len() + self.attached.len();
        memory::request_bytes(own + self.known.len()) + starts * size_of::<StartHeard>()
    }
}
