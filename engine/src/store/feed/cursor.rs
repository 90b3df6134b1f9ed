//! How far a reader of the feed is.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{
    page::Page,
    slot::{Latest, Slot},
};
use crate::limits::FEED_CURSOR_BYTES_MAX;

/// How far a reader of the feed is: a number for each slot of those that are members. Its text is opaque to clients.
///
/// A cursor names members by their epochs. Of a member that it names it has read each slot up to a batch, and nothing of a slot that it
/// does not name; of those of later epochs nothing; of all others everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    latest: Latest,
    slots: BTreeMap<Slot, i64>,
}

impl Cursor {
    /// Returns where a feed ends: the last batch of each slot of those that are members, as of the moment at which that one had joined last.
    pub(crate) fn at(latest: Latest, slots: impl IntoIterator<Item = (Slot, i64)>) -> Self {
        Self {
            latest,
            slots: slots.into_iter().collect(),
        }
    }

    /// Returns the latest member of which it knows.
    pub(crate) fn latest(&self) -> Latest {
        self.latest
    }

    /// Returns how far it is in a slot.
    pub(crate) fn of(&self, slot: Slot) -> i64 {
        self.slots.get(&slot).copied().unwrap_or(0)
    }

    /// Says whether it has read everything of this slot that there ever will be.
    pub(crate) fn has_left(&self, slot: Slot) -> bool {
        let named = |known: &Slot| known.epoch == slot.epoch;
        slot.epoch <= self.latest.epoch && !self.slots.keys().any(named)
    }

    /// Returns all slots that it names.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (Slot, i64)> {
        self.slots.iter().map(|(slot, batch)| (*slot, *batch))
    }

    /// Goes behind a batch that was read.
    pub(crate) fn pass(&mut self, slot: Slot, batch: i64) {
        #[cfg(test)]
        let batch = crate::sim::planted::overshoots(batch);
        self.slots.insert(slot, batch);
        #[cfg(test)]
        crate::sim::planted::pass_other_slots(slot, batch, &mut self.slots);
    }

    /// Goes behind a page whose batches were read.
    pub(crate) fn turn(&mut self, page: &Page) {
        for batch in &page.batches {
            self.pass(batch.slot, batch.number);
        }
        if page.is_last {
            self.meet(page.latest, &page.members);
        }
    }

    /// Everything was read that was there while these were the members: all others are forgotten, whose last batches are committed.
    pub(crate) fn meet(&mut self, latest: Latest, members: &[i64]) {
        self.latest = latest;
        self.slots.retain(|slot, _| members.contains(&slot.epoch));
        for epoch in members.iter().copied() {
            self.slots.entry(Slot { epoch, n: 0 }).or_insert(0);
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latest { epoch, mark } = self.latest;
        write!(f, "{epoch}-{mark}")?;
        for (Slot { epoch, n }, batch) in &self.slots {
            write!(f, "_{epoch}-{n}-{batch}")?;
        }
        Ok(())
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; use one as it was given, or none to begin at the end of the feed")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        if text.len() > FEED_CURSOR_BYTES_MAX {
            return Err(NoCursor);
        }
        let mut parts = text.split('_');
        let latest = parts.next().unwrap_or_default();
        let (epoch, mark) = latest.split_once('-').unwrap_or((latest, "0"));
        let latest = Latest {
            epoch: number(epoch)?,
            mark: number(mark)?,
        };
        let mut slots = BTreeMap::new();
        for part in parts {
            let mut numbers = part.splitn(3, '-');
            let mut next = || number(numbers.next().unwrap_or_default());
            let slot = Slot {
                epoch: next()?,
                n: next()?.try_into().map_err(|_| NoCursor)?,
            };
            if slots.insert(slot, next()?).is_some() {
                return Err(NoCursor);
            }
        }
        Ok(Self { latest, slots })
    }
}

/// Reads a number without a sign.
fn number(text: &str) -> Result<i64, NoCursor> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoCursor);
    }
    text.parse().map_err(|_| NoCursor)
}

#[cfg(test)]
mod tests {
    use super::{super::page::Batch, *};

    fn slot(epoch: i64, n: i16) -> Slot {
        Slot { epoch, n }
    }

    fn latest(epoch: i64) -> Latest {
        Latest { epoch, mark: 99 }
    }

    fn batch(slot: Slot, number: i64) -> Batch {
        Batch {
            slot,
            number,
            changes: Vec::new(),
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursors = [
            Cursor::default(),
            Cursor::at(latest(7), [(slot(3, 0), 12), (slot(7, 1), i64::MAX)]),
        ];
        for cursor in cursors {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let zeros = "0".repeat(FEED_CURSOR_BYTES_MAX + 1);
        for text in [
            "",
            "x",
            "-1",
            "+1",
            "1_",
            "1_2",
            "1_2-3",
            "1_2-3-",
            "1_2-99999-4",
            "1_2-3-4-5",
            "1-2-3",
            "1-x",
            " 1",
            "1_1-1-1_1-1-2",
            &zeros,
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text:.20}");
        }
    }

    #[test]
    fn a_page_that_is_not_the_last_leaves_open_which_members_there_are() {
        let mut cursor = Cursor::at(latest(2), [(slot(2, 0), 5)]);
        cursor.turn(&Page {
            latest: latest(4),
            members: vec![4],
            batches: vec![batch(slot(2, 0), 6), batch(slot(3, 1), 1)],
            is_last: false,
        });
        let read = [(slot(2, 0), 6), (slot(3, 1), 1)];
        assert_eq!(cursor, Cursor::at(latest(2), read));
        assert!(!cursor.has_left(slot(3, 0)), "unread as yet");
    }

    #[test]
    fn after_the_last_page_only_members_are_named() {
        let mut cursor = Cursor::at(latest(2), [(slot(2, 0), 5)]);
        cursor.turn(&Page {
            latest: latest(4),
            members: vec![2, 4],
            batches: vec![batch(slot(3, 1), 1)],
            is_last: true,
        });
        assert_eq!(
            cursor,
            Cursor::at(latest(4), [(slot(2, 0), 5), (slot(4, 0), 0)])
        );
        assert!(cursor.has_left(slot(3, 1)));
        assert!(!cursor.has_left(slot(4, 1)));
    }
}
