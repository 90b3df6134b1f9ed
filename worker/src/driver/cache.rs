//! The runs whose code is kept between workflow tasks: the least recently used leaves first.

use std::collections::{HashMap, VecDeque};

use history::RunId;

/// A bounded map from runs to `T`.
pub(super) struct Cache<T> {
    most: usize,
    runs: HashMap<RunId, (u64, T)>,
    /// Runs by last use, with outdated entries between them.
    order: VecDeque<(u64, RunId)>,
    uses: u64,
}

impl<T> Cache<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            runs: HashMap::new(),
            order: VecDeque::new(),
            uses: 0,
        }
    }

    pub(super) fn take(&mut self, run_id: RunId) -> Option<T> {
        self.runs.remove(&run_id).map(|(_, run)| run)
    }

    /// Says whether it keeps anything.
    pub(super) fn keeps(&self) -> bool {
        self.most > 0
    }

    /// Keeps a run; returns the one that leaves for it.
    #[must_use]
    pub(super) fn put(&mut self, run_id: RunId, run: T) -> Option<T> {
        self.uses += 1;
        self.runs.insert(run_id, (self.uses, run));
        self.order.push_back((self.uses, run_id));
        let left = (self.runs.len() > self.most)
            .then(|| self.take_oldest())
            .flatten();
        if self.order.len() > 2 * self.runs.len() + 64 {
            let runs = &self.runs;
            self.order
                .retain(|(used, run_id)| runs.get(run_id).is_some_and(|(last, _)| last == used));
        }
        left
    }

    /// Takes the least recently used run.
    pub(super) fn take_oldest(&mut self) -> Option<T> {
        while let Some((used, run_id)) = self.order.pop_front() {
            if self
                .runs
                .get(&run_id)
                .is_some_and(|(last, _)| *last == used)
            {
                return self.take(run_id);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u128) -> RunId {
        RunId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn the_least_recently_used_run_leaves_first() {
        let mut cache = Cache::new(2);
        assert_eq!(cache.put(run(1), 'a'), None);
        assert_eq!(cache.put(run(2), 'b'), None);
        let a = cache.take(run(1)).unwrap();
        assert_eq!(cache.put(run(1), a), None);
        assert_eq!(cache.put(run(3), 'c'), Some('b'));
        assert_eq!(cache.take(run(2)), None);
        assert_eq!(cache.take(run(1)), Some('a'));
        assert_eq!(cache.take(run(3)), Some('c'));
        assert_eq!(Cache::new(0).put(run(4), 'd'), Some('d'));
    }

    #[test]
    fn many_uses_of_few_runs_take_no_more_memory() {
        let mut cache = Cache::new(10);
        for n in 0..10_000 {
            let run_id = run(n % 3);
            cache.take(run_id);
            assert_eq!(cache.put(run_id, n), None);
        }
        assert!(cache.order.len() <= 70);
    }
}
