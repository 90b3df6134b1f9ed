//! A worker's slots that another member has lent.

use uuid::Uuid;

use crate::{owner::state::slots::Slots, words::Kind};

/// A worker's slots that another member has lent.
#[derive(Debug)]
pub(crate) struct Borrowed {
    /// Who has lent them.
    pub(crate) member: Uuid,
    /// The fewest that were free since the last look: nobody needed those.
    pub(crate) least_free: Slots,
    /// Slots of answered tasks that were not lent on: they are not free when the answer is handled.
    pub(crate) withheld: Slots,
}

impl Borrowed {
    pub(crate) fn of(member: Uuid) -> Self {
        Self {
            member,
            least_free: Slots::default(),
            withheld: Slots::default(),
        }
    }

    /// So many are left free.
    pub(crate) fn used(&mut self, kind: Kind, free: u32) {
        let unneeded = self.least_free.of(kind).saturating_sub(free);
        self.least_free.take(kind, unneeded);
    }

    /// Says whether the slot of a task that is over may be used again.
    pub(crate) fn keeps(&mut self, kind: Kind) -> bool {
        self.withheld.take(kind, 1) == 0
    }
}
