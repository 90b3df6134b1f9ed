//! What this member knows of the others: the way to each, and what they want.

use std::{collections::BTreeMap, time::Duration};

use foldhash::HashSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    owner::state::{demands::Demands, link::Link},
    words::Waiting,
};

/// How often it is looked at what lies idle, and who is silent.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);

/// A member that stops waits no longer than this for another one that says nothing.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// What this member knows of the others.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) links: BTreeMap<Uuid, Link>,
    /// What the others want of the workers that are connected here.
    pub(crate) demands: Demands,
    /// Queues of which the others may have to be told that tasks wait.
    pub(crate) unsure: HashSet<Waiting>,
    pub(crate) next_sweep: Instant,
    /// Queues without a worker that the log has named.
    pub(crate) named: HashSet<Waiting>,
}

impl Matching {
    pub(crate) fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            demands: Demands::default(),
            unsure: HashSet::default(),
            next_sweep: Instant::now() + SWEEP,
            named: HashSet::default(),
        }
    }

    pub(crate) fn next_sweep(&self) -> Instant {
        self.next_sweep
    }

    /// Says whether something is on its way to another member.
    pub(crate) fn is_sending(&self) -> bool {
        let now = Instant::now();
        let mut links = self.links.values();
        links.any(|link| link.is_sending() && link.silent_for(now) < HEARD_WITHIN)
    }

    /// Says whether a member hears what it is told, as far as it is known.
    pub(crate) fn is_heard(&self, member: Uuid) -> bool {
        self.links.get(&member).is_some_and(Link::is_heard)
    }
}
