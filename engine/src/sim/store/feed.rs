//! The feed, as the tables `feed`, `feed_expired`, `member` and `former_member` have it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use history::Timestamp;

use super::{super::world::now, memory::Memory, tables::State};
use crate::store::{
    Answer, Term,
    feed::{Batch, Change, Cursor, Latest, Page, Slot, Source},
};

/// As many as `slots_of_member` in the schema.
const SLOTS: i16 = 8;
/// How long a batch stays: a reader that is away for longer misses something.
pub(in crate::sim) const KEPT: Duration = Duration::from_secs(4);

/// A row of `feed`.
#[derive(Debug, Clone)]
struct Row {
    position: i64,
    at: Timestamp,
    batch: Batch,
}

/// What is committed, and what was deleted of it.
#[derive(Debug, Default, Clone)]
pub(in crate::sim) struct Feed {
    rows: BTreeMap<(Slot, i64), Row>,
    /// The last deleted batch of each slot.
    expired: BTreeMap<Slot, i64>,
    position: i64,
    /// How often old batches were deleted.
    pub(in crate::sim) looks: u64,
}

impl Feed {
    /// Draws a position, as a batch does before it is committed.
    pub(super) fn draw(&mut self) -> i64 {
        self.position += 1;
        self.position
    }

    pub(super) fn add(
        &mut self,
        (term, slot, number): (Term, i16, i64),
        position: i64,
        changes: Vec<Change>,
    ) {
        let slot = Slot {
            epoch: term.epoch,
            n: slot,
        };
        let row = Row {
            position,
            at: now(),
            batch: Batch {
                slot,
                number,
                changes,
            },
        };
        self.rows.insert((slot, number), row);
    }

    pub(super) fn has(&self, slot: Slot, number: i64) -> bool {
        self.rows.contains_key(&(slot, number))
    }

    fn of(&self, slot: Slot, after: i64) -> impl Iterator<Item = &Row> {
        let behind = (slot, after.saturating_add(1))..=(slot, i64::MAX);
        self.rows.range(behind).map(|(_, row)| row)
    }

    fn last(&self, slot: Slot) -> i64 {
        let all = (slot, 0)..=(slot, i64::MAX);
        let last = self.rows.range(all).next_back();
        last.map_or(0, |((_, number), _)| *number)
    }

    /// Returns the last batch of each slot of a member.
    pub(super) fn last_batches(&self, epoch: i64) -> Vec<i64> {
        let of = |n| self.last(Slot { epoch, n });
        (0..SLOTS).map(of).collect()
    }
}

/// Returns all slots of a member.
fn slots(epoch: i64) -> impl Iterator<Item = Slot> {
    (0..SLOTS).map(move |n| Slot { epoch, n })
}

impl State {
    /// Returns who has joined last. Here no epoch is lost and used again.
    fn latest(&self) -> Latest {
        Latest {
            epoch: self.epoch,
            mark: 1,
        }
    }

    /// Says whether something was committed within this time that a reader has not read.
    pub(in crate::sim) fn unread(&self, cursor: &Cursor, from: Timestamp, to: Timestamp) -> bool {
        let mut within = self.feed.rows.iter();
        within.any(|((slot, number), row)| {
            let unread = !cursor.has_left(*slot) && cursor.of(*slot) < *number;
            unread && row.at >= from && row.at <= to
        })
    }

    /// Returns the batches behind a cursor, at most so many.
    pub(super) fn feed_after(&self, cursor: &Cursor, most: usize) -> Option<Page> {
        let members: Vec<i64> = self.members.values().map(|member| member.epoch).collect();
        let former = self.former.values().map(|former| former.epoch);
        let epochs = members.iter().copied().chain(former);
        let unread: Vec<Slot> = epochs
            .flat_map(slots)
            .filter(|slot| !cursor.has_left(*slot))
            .collect();
        let missed = |slot: &Slot| {
            let expired = self.feed.expired.get(slot).copied().unwrap_or(0);
            cursor.of(*slot) < expired
        };
        if unread.iter().any(missed) {
            return None;
        }
        let mut rows: Vec<&Row> = unread
            .iter()
            .flat_map(|slot| self.feed.of(*slot, cursor.of(*slot)).take(most))
            .collect();
        rows.sort_unstable_by_key(|row| row.position);
        let is_last = rows.len() < most;
        let read = rows.into_iter().take(most);
        Some(Page {
            latest: self.latest(),
            members,
            batches: read.map(|row| row.batch.clone()).collect(),
            is_last,
        })
    }

    pub(super) fn feed_end(&self) -> Cursor {
        let members = self.members.values().map(|member| member.epoch);
        let slots = members.flat_map(slots);
        Cursor::at(
            self.latest(),
            slots.map(|slot| (slot, self.feed.last(slot))),
        )
    }

    pub(super) fn expire_feed(&mut self) {
        let before = Timestamp(now().0 - i64::try_from(KEPT.as_micros()).unwrap_or(0));
        let members: Vec<i64> = self.members.values().map(|member| member.epoch).collect();
        let feed = &mut self.feed;
        feed.looks += 1;
        let old = feed.rows.iter().filter(|(_, row)| row.at < before);
        let old: Vec<(Slot, i64)> = old.map(|(key, _)| *key).collect();
        for (slot, number) in old {
            // A member's last one stays.
            if members.contains(&slot.epoch) && feed.last(slot) == number {
                continue;
            }
            feed.rows.remove(&(slot, number));
            feed.expired.insert(slot, number);
        }
    }
}

impl Source for Memory {
    fn after<'a>(&'a self, cursor: &'a Cursor, most: i64) -> Answer<'a, Option<Page>> {
        let most = usize::try_from(most).unwrap_or(0);
        self.read(move |state| Ok(state.feed_after(cursor, most)))
    }

    fn end(&self) -> Answer<'_, Cursor> {
        self.read(|state| Ok(state.feed_end()))
    }

    fn records<'a>(&'a self, of: &'a [Change]) -> Answer<'a, Vec<Option<Arc<str>>>> {
        self.read(move |state| {
            let stored = of.iter().map(|row| state.stored(row.run_id, row.seq));
            Ok(stored.map(|records| records.map(Arc::from)).collect())
        })
    }
}
