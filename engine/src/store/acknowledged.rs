//! What this process knows to be in its database. One that holds less is another database, or an earlier state of it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use super::Term;
use crate::limits::{COMMITTERS, FORMER_MEMBERS_KEPT};

/// What a database says of itself, and of a process that is or was a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The number that a cluster gets when it is made; copies of it have the same.
    pub(crate) system: i64,
    /// Grows when a standby is promoted, or a backup restored to some moment.
    pub(crate) timeline: i64,
    /// The latest epoch of any member.
    pub(crate) epoch: i64,
    /// The last batch of each slot; `None` where nothing is known of the process.
    pub(crate) batches: Option<Vec<i64>>,
}

/// What an owner was told to be committed.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    system: i64,
    timeline: i64,
    term: Term,
    /// The last batch of each slot.
    batches: [AtomicI64; COMMITTERS],
}

/// What is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    #[error("this is another database: its system identifier is {now}, and was {before}")]
    System { before: i64, now: i64 },
    #[error("this is an earlier state: its timeline is {now}, and was {before}")]
    Timeline { before: i64, now: i64 },
    #[error("epoch {before} is missing; the latest is {now}")]
    Epoch { before: i64, now: i64 },
    #[error("the membership of epoch {epoch} is missing")]
    Membership { epoch: i64 },
    #[error("batch {batch} of slot {slot} is missing; the last one is {last}")]
    Batch { slot: usize, batch: i64, last: i64 },
}

/// How a database compares with what a process was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the one that it was.
    Sound,
    /// It holds everything, and is another server, or another time of the same one.
    FailedOver { before: i64, now: i64 },
    /// It lacks something.
    Behind(Missing),
}

/// What was known before a database is asked: what is committed meanwhile may be there or not.
#[derive(Debug)]
pub(crate) struct Known {
    system: i64,
    timeline: i64,
    term: Term,
    batches: [i64; COMMITTERS],
}

impl Acknowledged {
    /// Notes that a batch is committed.
    pub(crate) fn note(&self, slot: i16, batch: i64) {
        if let Some(last) = usize::try_from(slot).ok().and_then(|n| self.batches.get(n)) {
            last.fetch_max(batch, Ordering::SeqCst);
        }
    }

    fn known(&self) -> Known {
        Known {
            system: self.system,
            timeline: self.timeline,
            term: self.term,
            batches: std::array::from_fn(|n| self.batches[n].load(Ordering::SeqCst)),
        }
    }
}

impl Known {
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Compares a database, and raises the alarm when it lacks something.
    pub(crate) fn compare(&self, held: &Held) -> Verdict {
        let verdict = self.judge(held);
        match &verdict {
            Verdict::Sound => {}
            Verdict::FailedOver { before, now } => tracing::warn!(
                before,
                now,
                "the database has another timeline: it failed over, and holds what it acknowledged; what it holds is read anew"
            ),
            Verdict::Behind(missing) => tracing::error!(
                code = "DATABASE_BEHIND",
                member = %self.term.owner,
                missing = missing as &dyn std::error::Error,
                "the database does not hold what it acknowledged; what it holds is read anew"
            ),
        }
        verdict
    }

    fn judge(&self, held: &Held) -> Verdict {
        if let Some(missing) = self.missing(held) {
            return Verdict::Behind(missing);
        }
        let (before, now) = (self.timeline, held.timeline);
        if now == before {
            Verdict::Sound
        } else {
            Verdict::FailedOver { before, now }
        }
    }

    fn missing(&self, held: &Held) -> Option<Missing> {
        if held.system != self.system {
            let (before, now) = (self.system, held.system);
            return Some(Missing::System { before, now });
        }
        if held.timeline < self.timeline {
            let (before, now) = (self.timeline, held.timeline);
            return Some(Missing::Timeline { before, now });
        }
        let (epoch, now) = (self.term.epoch, held.epoch);
        if now < epoch {
            return Some(Missing::Epoch { before: epoch, now });
        }
        let Some(batches) = &held.batches else {
            // One that so many others have followed may be forgotten.
            let remembered = epoch > now - FORMER_MEMBERS_KEPT;
            return remembered.then_some(Missing::Membership { epoch });
        };
        // A slot's batches are written one after the other, so the last one stands for all.
        let mut slots = self.batches.iter().enumerate();
        slots.find_map(|(slot, batch)| {
            let last = batches.get(slot).copied().unwrap_or(0);
            (last < *batch).then_some(Missing::Batch {
                slot,
                batch: *batch,
                last,
            })
        })
    }
}

/// What the latest term of this process was told, as long as the process lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness(Arc<Mutex<Option<Arc<Acknowledged>>>>);

impl Witness {
    /// Begins anew with what a database says of a process that has just become a member.
    pub(crate) fn joined(&self, term: Term, held: &Held) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Acknowledged {
            system: held.system,
            timeline: held.timeline,
            term,
            batches: Default::default(),
        }));
    }

    /// Returns where the committed batches of this term are noted; `None` before the first.
    pub(crate) fn acknowledged(&self) -> Option<Arc<Acknowledged>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns what is known now; `None` before the first term.
    pub(crate) fn known(&self) -> Option<Known> {
        Some(self.acknowledged()?.known())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(batches: Option<Vec<i64>>) -> Held {
        Held {
            system: 7,
            timeline: 1,
            epoch: 3,
            batches,
        }
    }

    fn told(batches: [i64; COMMITTERS]) -> Known {
        let witness = Witness::default();
        let term = Term {
            owner: uuid::Uuid::nil(),
            epoch: 3,
        };
        witness.joined(term, &held(Some(vec![0; 8])));
        let acknowledged = witness.acknowledged().unwrap();
        for (slot, batch) in (0..).zip(batches) {
            acknowledged.note(slot, batch);
        }
        witness.known().unwrap()
    }

    #[test]
    fn a_database_that_holds_everything_is_sound_even_when_it_holds_more() {
        for batches in [vec![4, 2], vec![5, 2, 0, 0], vec![4, 9]] {
            assert_eq!(told([4, 2]).judge(&held(Some(batches))), Verdict::Sound);
        }
    }

    #[test]
    fn a_lost_batch_is_missed_by_a_member_and_by_one_that_was() {
        let missing = Missing::Batch {
            slot: 1,
            batch: 2,
            last: 1,
        };
        let verdict = told([4, 2]).judge(&held(Some(vec![4, 1])));
        assert_eq!(verdict, Verdict::Behind(missing));
    }

    #[test]
    fn a_membership_that_is_not_there_is_missed_until_it_may_be_forgotten() {
        let mut later = held(None);
        let verdict = told([0, 0]).judge(&later);
        assert_eq!(verdict, Verdict::Behind(Missing::Membership { epoch: 3 }));
        later.epoch = 3 + FORMER_MEMBERS_KEPT;
        assert_eq!(told([0, 0]).judge(&later), Verdict::Sound);
    }

    #[test]
    fn another_timeline_is_a_failover_and_an_earlier_one_a_loss() {
        let mut other = held(Some(vec![4, 2]));
        other.timeline = 2;
        let failed_over = Verdict::FailedOver { before: 1, now: 2 };
        assert_eq!(told([4, 2]).judge(&other), failed_over);
        other.batches = Some(vec![3, 2]);
        assert!(matches!(told([4, 2]).judge(&other), Verdict::Behind(_)));
        other.timeline = 0;
        let earlier = Missing::Timeline { before: 1, now: 0 };
        assert_eq!(told([4, 2]).judge(&other), Verdict::Behind(earlier));
    }
}
