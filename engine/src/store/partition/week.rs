//! The weeks of run ids, by which `history` is partitioned.

use history::Timestamp;
use uuid::Uuid;

pub(super) const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Weeks begin on Mondays; the first one of the Unix epoch was its fifth day.
const FIRST_MONDAY_MS: i64 = 4 * 24 * 60 * 60 * 1000;
/// This week and the next four: an engine that is started at least once a month never writes to the default partition.
const WEEKS: i64 = 5;
/// Those who make partitions do so one after the other: several processes may begin on a new database at once. Locks with one key
/// are members'.
pub(super) const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(1, 0)";

/// A week of run ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Week {
    /// Its Monday, at midnight UTC, in milliseconds since the Unix epoch.
    pub(super) start_ms: i64,
}

impl Week {
    /// Returns the number of the week of a moment, since the first Monday of 1970.
    pub(super) fn number(now: Timestamp) -> i64 {
        (now.0.div_euclid(1000) - FIRST_MONDAY_MS).div_euclid(WEEK_MS)
    }

    /// Returns the week of a moment and those after it.
    pub(super) fn from(now: Timestamp) -> impl Iterator<Item = Self> {
        let number = Self::number(now);
        (0..WEEKS).map(move |week| Self {
            start_ms: FIRST_MONDAY_MS + (number + week) * WEEK_MS,
        })
    }

    /// Returns the smallest `UUIDv7` of the week: 48 bits of milliseconds, then zeros.
    pub(super) fn first(self) -> Uuid {
        Uuid::from_u128(u128::from(self.start_ms.unsigned_abs()) << 80)
    }

    /// Returns the smallest `UUIDv7` after the week.
    pub(super) fn end(self) -> Uuid {
        Self {
            start_ms: self.start_ms + WEEK_MS,
        }
        .first()
    }

    /// Returns the partition's name: `history_w` and the number of the week since the first Monday of 1970.
    pub(super) fn table(self) -> String {
        format!("history_w{}", (self.start_ms - FIRST_MONDAY_MS) / WEEK_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday_and_holds_its_own_run_ids() {
        // 2026-11-23T06:00:00Z, a Monday.
        let now = Timestamp(1_795_413_600_000_000);
        let weeks: Vec<Week> = Week::from(now).collect();
        assert_eq!(weeks.len(), 5);
        assert_eq!(weeks[0].start_ms, 1_795_392_000_000, "midnight of that day");
        assert_eq!(weeks[0].table(), "history_w2968");
        let run_id = Uuid::from_u128((1_795_413_600_000 << 80) | 0x7000_8000_0000_0000_0001);
        assert!(weeks[0].first() <= run_id && run_id < weeks[0].end());
        assert_eq!(weeks[0].end(), weeks[1].first());
    }
}
