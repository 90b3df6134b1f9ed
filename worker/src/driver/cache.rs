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

    pub(super) fn put(&mut self, run_id: RunId, run: T) {
        self.uses += 1;
        self.runs.insert(run_id, (self.uses, run));
        self.order.push_back((self.uses, run_id));
        while self.runs.len() > self.most {
            self.drop_oldest();
        }
        if self.order.len() > 2 * self.runs.len() + 64 {
            let runs = &self.runs;
            self.order
                .retain(|(used, run_id)| runs.get(run_id).is_some_and(|(last, _)| last == used));
        }
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.order.clear();
    }

    fn drop_oldest(&mut self) {
        while let Some((used, run_id)) = self.order.pop_front() {
            if self
                .runs
                .get(&run_id)
                .is_some_and(|(last, _)| *last == used)
            {
                self.runs.remove(&run_id);
                return;
            }
        }
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
        cache.put(run(1), 'a');
        cache.put(run(2), 'b');
        let a = cache.take(run(1)).unwrap();
        cache.put(run(1), a);
        cache.put(run(3), 'c');
        assert_eq!(cache.take(run(2)), None);
        assert_eq!(cache.take(run(1)), Some('a'));
        assert_eq!(cache.take(run(3)), Some('c'));
    }

    #[test]
    fn many_uses_of_few_runs_take_no_more_memory() {
        let mut cache = Cache::new(10);
        for n in 0..10_000 {
            let run_id = run(n % 3);
            cache.take(run_id);
            cache.put(run_id, n);
        }
        assert!(cache.order.len() <= 70);
    }
}
