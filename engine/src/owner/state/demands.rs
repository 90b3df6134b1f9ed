//! What other members want of the workers that are connected here.

use std::collections::BTreeMap;

use foldhash::HashMap;
use uuid::Uuid;

use crate::words::{Kind, QueueKey, SessionId, Waiting};

/// What other members want of the workers that are connected here.
#[derive(Debug, Default)]
pub(crate) struct Demands {
    pub(crate) queues: HashMap<Waiting, Claims>,
    /// Slots that were granted and not yet told of.
    pub(crate) granted: Vec<Granted>,
}

/// Who wants slots of the workers of one queue.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) of: BTreeMap<Uuid, Claim>,
    /// Counts the slots given away, so that all who wait get theirs in turn.
    turns: usize,
}

/// What a member wants.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) waiting: u32,
    /// How many workers it was told of.
    pub(crate) told: u32,
    /// It does not hear what it is told, so that no slot is lent to it.
    pub(crate) unheard: bool,
}

impl Claim {
    fn waits(&self) -> bool {
        self.waiting > 0 && !self.unheard
    }
}

#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) member: Uuid,
    pub(crate) session: SessionId,
    pub(crate) kind: Kind,
    pub(crate) slots: u32,
}

impl Demands {
    /// Says whose turn it is, if not the own tasks'.
    pub(crate) fn next(&mut self, queue: &Waiting, waits_here: bool) -> Option<Uuid> {
        let claims = self.queues.get_mut(queue)?;
        let waiting = || claims.of.iter().filter(|(_, claim)| claim.waits());
        let (others, own) = (waiting().count(), usize::from(waits_here));
        if others == 0 {
            return None;
        }
        let turn = claims.turns % (others + own);
        claims.turns = claims.turns.wrapping_add(1);
        let member = waiting().nth(turn).map(|(member, _)| *member)?;
        if let Some(claim) = claims.of.get_mut(&member) {
            claim.waiting -= 1;
        }
        Some(member)
    }

    /// Says whether a member other than this one waits.
    pub(crate) fn waits_other(&self, queue: &Waiting, than: Uuid) -> bool {
        self.queues.get(queue).is_some_and(|claims| {
            let mut of = claims.of.iter();
            of.any(|(member, claim)| *member != than && claim.waits())
        })
    }

    /// Returns who waits.
    pub(crate) fn waiting(&self, queue: &Waiting) -> Vec<Uuid> {
        let claims = self.queues.get(queue).into_iter().flat_map(|q| &q.of);
        let waiting = claims.filter(|(_, claim)| claim.waits());
        waiting.map(|(member, _)| *member).collect()
    }

    /// Slots of this worker that were granted and not told of are not to be had: whoever was to get them waits still.
    pub(crate) fn revoke(&mut self, session: SessionId, queue: &QueueKey) {
        let (revoked, granted) = std::mem::take(&mut self.granted)
            .into_iter()
            .partition(|granted| granted.session == session);
        self.granted = granted;
        let revoked: Vec<Granted> = revoked;
        for granted in revoked {
            let claims = self.queues.get_mut(&(queue.clone(), granted.kind));
            if let Some(claim) = claims.and_then(|claims| claims.of.get_mut(&granted.member)) {
                claim.waiting = claim.waiting.saturating_add(granted.slots);
            }
        }
    }

    pub(crate) fn forget(&mut self, member: Uuid) {
        self.granted.retain(|granted| granted.member != member);
        self.queues.retain(|_, claims| {
            claims.of.remove(&member);
            !claims.of.is_empty()
        });
    }
}
