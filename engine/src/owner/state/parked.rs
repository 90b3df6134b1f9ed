//! Runs that are not in memory, by when they are due. The deadlines of parked runs are read a while ahead: page by page in
//! their order, so that a million at one moment take no more memory than two pages. Those that are one too many are forgotten, the latest first, and read again.

use std::{collections::BTreeSet, sync::Arc};

use foldhash::HashMap;
use history::{RunId, Timestamp};

use crate::{
    limits::{PARKED_KNOWN_MAX, PARKED_PAGE},
    store::{
        RunRef,
        load::{Due, Window},
    },
};

/// A run that is not in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) shard: i16,
    /// When it is due.
    at: Timestamp,
    /// The database knows that as well: it may be forgotten, and read again in time.
    is_parked: bool,
}

/// What is known of them.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// Each until it is back.
    left: HashMap<RunId, Left>,
    /// Those that are to be read when they are due, and are not being read because of that.
    wakes: BTreeSet<(Timestamp, RunId)>,
    /// How many of those the database knows as well.
    pub(crate) stored_wakes: usize,
    /// What is to be read, each from its last page on.
    pub(crate) windows: Vec<Window>,
    /// Shards that have come since, of whose runs no deadline is known.
    pub(crate) arrived: Vec<i16>,
    pub(crate) reading: bool,
    /// All deadlines before this moment are known, or stand in a window.
    pub(crate) until: Timestamp,
}

/// The smallest of all keys at this moment.
pub(crate) fn first_at(at: Timestamp) -> (Timestamp, RunId) {
    (at, RunId(uuid::Uuid::nil()))
}

impl Parked {
    /// Takes note that a run is not here, and when it is to be read. Of two moments the earlier counts: a page may be older than what is
    /// known, and to read a run too early costs little.
    pub(crate) fn leave(&mut self, Due { at, shard, run_id }: Due, is_parked: bool) {
        if self.left.get(&run_id).is_some_and(|known| known.at <= at) {
            return;
        }
        self.forget(run_id);
        let left = Left {
            shard,
            at,
            is_parked,
        };
        self.left.insert(run_id, left);
        self.wake(run_id);
        if self.stored_wakes > PARKED_KNOWN_MAX {
            self.forget_late();
        }
    }

    /// Has a run that is not here read when it is due.
    pub(crate) fn wake(&mut self, run_id: RunId) {
        if let Some(left) = self.left.get(&run_id)
            && self.wakes.insert((left.at, run_id))
        {
            self.stored_wakes += usize::from(left.is_parked);
        }
    }

    /// Forgets a run that is back, or is not there any more.
    pub(crate) fn forget(&mut self, run_id: RunId) {
        if let Some(left) = self.left.remove(&run_id)
            && self.wakes.remove(&(left.at, run_id))
        {
            self.stored_wakes -= usize::from(left.is_parked);
        }
    }

    /// Forgets all parked runs but those that are due first; the others are read ahead again in time.
    fn forget_late(&mut self) {
        let is_parked = |run_id| self.left.get(run_id).is_some_and(|left| left.is_parked);
        let mut parked = self.wakes.iter().filter(|(_, run_id)| is_parked(run_id));
        let Some((until, _)) = parked.nth(PARKED_PAGE).copied() else {
            return;
        };
        let late = self.wakes.range(first_at(until)..);
        let late = late.filter(|(_, run_id)| is_parked(run_id));
        for (_, run_id) in late.copied().collect::<Vec<_>>() {
            self.forget(run_id);
        }
        self.until = until;
        self.windows.retain(|window| window.after.0 < until);
        for window in &mut self.windows {
            window.before = window.before.min(until);
        }
    }

    /// Returns when the first of them is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Says whether any is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_at().is_some_and(|at| at <= now)
    }

    /// Takes the first of those that are due.
    pub(crate) fn next_due(&mut self, now: Timestamp, most: usize) -> Vec<RunRef> {
        let mut due = Vec::new();
        while due.len() < most && self.is_due(now) {
            if let Some((_, run_id)) = self.wakes.pop_first()
                && let Some(left) = self.left.get(&run_id)
            {
                self.stored_wakes -= usize::from(left.is_parked);
                let shard = left.shard;
                due.push(RunRef { shard, run_id });
            }
        }
        due
    }

    /// Forgets the runs of other shards.
    pub(crate) fn keep(&mut self, is_here: impl Fn(i16) -> bool) {
        let gone = self.left.iter().filter(|(_, left)| !is_here(left.shard));
        for run_id in gone.map(|(run_id, _)| *run_id).collect::<Vec<_>>() {
            self.forget(run_id);
        }
    }

    /// Takes note that these shards have come, of whose runs no deadline is known.
    pub(crate) fn catch_up(&mut self, shards: &[i16]) {
        self.arrived.extend(shards);
    }

    pub(crate) fn window(&mut self, shards: Arc<[i16]>, from: Timestamp, before: Timestamp) {
        if from < before && !shards.is_empty() {
            self.windows.push(Window {
                shards,
                after: first_at(from),
                before,
            });
        }
    }

    /// Takes out the window whose deadlines come first, if some of them may come before those that are known, or few are known.
    pub(crate) fn next_window(&mut self) -> Option<Window> {
        let windows = self.windows.iter().enumerate();
        let (first, window) = windows.min_by_key(|(_, window)| window.after)?;
        let in_time = self.next_at().is_some_and(|at| at <= window.after.0);
        if self.stored_wakes > PARKED_PAGE / 2 && in_time {
            return None;
        }
        Some(self.windows.swap_remove(first))
    }

    /// Takes a window back of which a page was read, if there is more of it.
    pub(crate) fn read_on(&mut self, window: Window, page: &[Due]) {
        let Some(last) = page.last().filter(|_| page.len() >= PARKED_PAGE) else {
            return;
        };
        let before = window.before.min(self.until);
        if last.at < before {
            self.windows.push(Window {
                after: (last.at, last.run_id),
                before,
                ..window
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at: i64, n: usize) -> Due {
        Due {
            at: Timestamp(at),
            shard: 0,
            run_id: RunId(uuid::Uuid::from_u128(n as u128)),
        }
    }

    fn at(n: i64) -> RunRef {
        RunRef {
            shard: 0,
            run_id: due(n, usize::try_from(n).unwrap()).run_id,
        }
    }

    /// All before this moment are known.
    fn known_until(at: i64) -> Parked {
        Parked {
            until: Timestamp(at),
            ..Parked::default()
        }
    }

    #[test]
    fn of_a_million_that_are_due_soon_those_are_known_that_are_due_first() {
        let mut parked = known_until(i64::MAX);
        for n in 0..1_000_000 {
            // Not in their order.
            let at = i64::try_from(n * 7919 % 1_000_003).unwrap();
            if Timestamp(at) < parked.until {
                parked.leave(due(at, n), true);
            }
            assert!(parked.left.len() <= PARKED_KNOWN_MAX);
        }
        assert!(parked.wakes.len() >= PARKED_PAGE / 2);
        assert_eq!(parked.wakes.len(), parked.left.len());
        assert_eq!(parked.wakes.len(), parked.stored_wakes);
        let known: Vec<i64> = parked.wakes.iter().map(|(at, _)| at.0).collect();
        let until = parked.until.0;
        let mut all: Vec<i64> = (0..1_000_000).map(|n| n * 7919 % 1_000_003).collect();
        all.retain(|at| *at < until);
        all.sort_unstable();
        assert_eq!(known, all);
    }

    #[test]
    fn a_million_at_one_moment_are_read_again_when_it_has_come() {
        let mut parked = known_until(i64::MAX);
        for n in 0..1_000_000 {
            if Timestamp(5) < parked.until {
                parked.leave(due(5, n), true);
            }
        }
        assert_eq!(parked.until, Timestamp(5));
        assert!(parked.left.is_empty() && parked.wakes.is_empty());
    }

    #[test]
    fn what_the_database_does_not_know_is_not_forgotten() {
        let mut parked = known_until(i64::MAX);
        parked.leave(due(1_000_000, 0), false);
        for n in 1..100_000 {
            parked.leave(due(i64::try_from(n).unwrap(), n), true);
        }
        assert_eq!(parked.next_due(Timestamp(1), 9), [at(1)]);
        assert_eq!(
            parked.wakes.last(),
            Some(&(Timestamp(1_000_000), due(0, 0).run_id))
        );
    }

    #[test]
    fn a_run_that_comes_and_goes_is_read_once() {
        let mut parked = known_until(100);
        for _ in 0..10 {
            parked.forget(due(5, 5).run_id);
            parked.leave(due(5, 5), false);
            // A page that was read before says something else.
            parked.leave(due(7, 5), true);
            parked.leave(due(5, 5), true);
        }
        assert_eq!(parked.wakes.len(), 1);
        assert_eq!(parked.next_due(Timestamp(9), 9), [at(5)]);
        assert_eq!(parked.next_due(Timestamp(9), 9), []);
        // Put off, it is read again.
        parked.wake(due(5, 5).run_id);
        parked.wake(due(5, 5).run_id);
        assert_eq!(parked.next_due(Timestamp(9), 9), [at(5)]);
        parked.forget(due(5, 5).run_id);
        assert_eq!((parked.left.len(), parked.stored_wakes), (0, 0));
    }

    #[test]
    fn what_comes_before_all_that_is_known_is_read_however_much_is_known() {
        let mut parked = known_until(1000);
        for n in 0..PARKED_PAGE {
            parked.leave(due(900, n), true);
        }
        let shards: Arc<[i16]> = Arc::new([1]);
        parked.window(Arc::clone(&shards), Timestamp(950), Timestamp(1000));
        assert!(parked.next_window().is_none());
        parked.window(shards, Timestamp(0), Timestamp(1000));
        let window = parked.next_window().expect("it is read");
        assert_eq!(window.after, first_at(Timestamp(0)));
    }
}
