//! The end of the feed in memory: what this process has committed last.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::HashSet;
use history::RunId;
use tokio::sync::{Notify, watch};

use crate::{
    limits::{FEED_TAIL_BATCHES_MAX, FEED_TAIL_BYTES_MAX},
    store::{
        commit::Item,
        feed::{Change, Slot},
    },
};

/// A committed batch, with what it wrote.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Through which slot.
    pub(crate) slot: Slot,
    /// Its number there.
    pub(crate) number: i64,
    /// The rows of history that it wrote, in order.
    pub rows: Vec<Written>,
}

/// A row of history that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Which row.
    pub change: Change,
    /// Its records, as they are stored; `None` where its run was deleted since.
    pub records: Option<Arc<str>>,
}

/// A batch in memory.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) batch: Committed,
    /// The number of the batch that was committed before it in its slot.
    pub(super) previous: i64,
    /// What [`Tail::taken`] was.
    pub(super) taken: u64,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first one that is kept.
    first: u64,
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) batches: usize,
    /// Of records, as they are stored.
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batches: FEED_TAIL_BATCHES_MAX,
            bytes: FEED_TAIL_BYTES_MAX,
        }
    }
}

/// What this process has committed last, for those who listen in it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    limits: Limits,
    ring: Mutex<Ring>,
    /// How many listen.
    listeners: AtomicUsize,
    /// How often shards were taken: what is committed from then on follows what others have committed, and they are not heard here.
    taken: AtomicU64,
    /// Told of each batch.
    changed: watch::Sender<()>,
    /// Told of each batch, and when shards are taken, whether or not somebody listens.
    woken: Notify,
}

impl Tail {
    /// Returns one that keeps so much.
    #[cfg(test)]
    pub(crate) fn of(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes note that shards are served here from now on.
    pub(crate) fn take(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.woken.notify_one();
    }

    /// Returns how often shards were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Keeps a committed batch for those who listen, without the runs that did not get their id.
    pub(crate) fn publish(
        &self,
        slot: Slot,
        (number, previous): (i64, i64),
        items: &[Item],
        lost: &HashSet<RunId>,
    ) {
        self.woken.notify_one();
        if self.listeners.load(Ordering::SeqCst) == 0 {
            return;
        }
        let rows = written(items, lost);
        let kept = Kept {
            batch: Committed { slot, number, rows },
            previous,
            taken: self.taken(),
        };
        self.ring().keep(Arc::new(kept), self.limits);
        self.changed.send_replace(());
    }

    /// Waits until something was committed since this was last asked, or may have been by those whose shards were taken.
    pub(crate) async fn committed(&self) {
        self.woken.notified().await;
    }

    /// Begins to listen.
    pub(super) fn listen(self: &Arc<Self>) -> Listener {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listener {
            changed: self.changed.subscribe(),
            next: self.end(),
            tail: Arc::clone(self),
        }
    }

    fn end(&self) -> u64 {
        self.ring().end()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn clear(&mut self) {
        self.first = self.end();
        self.kept = VecDeque::new();
        self.bytes = 0;
    }

    fn keep(&mut self, kept: Arc<Kept>, limits: Limits) {
        self.bytes += kept.bytes();
        self.kept.push_back(kept);
        while self.kept.len() > limits.batches || self.bytes > limits.bytes {
            let Some(gone) = self.kept.pop_front() else {
                break;
            };
            self.first += 1;
            self.bytes -= gone.bytes();
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        let records = self
            .batch
            .rows
            .iter()
            .filter_map(|row| row.records.as_ref());
        records.map(|records| records.len()).sum()
    }
}

/// Returns the rows that a batch wrote.
fn written(items: &[Item], lost: &HashSet<RunId>) -> Vec<Written> {
    let is_lost = |item: &&Item| item.starts.iter().any(|start| lost.contains(&start.run_id));
    // What follows a start that did not get its id is not written either.
    let lost: HashSet<_> = (items.iter().filter(is_lost))
        .map(|item| (item.namespace, &item.workflow_id))
        .collect();
    let items = items
        .iter()
        .filter(|item| !lost.contains(&(item.namespace, &item.workflow_id)));
    let rows = items.flat_map(|item| item.rows.iter().map(move |row| (item, row)));
    rows.map(|(item, row)| Written {
        change: Change {
            shard: item.shard,
            run_id: row.run_id,
            seq: row.seq,
            closes: item.closes(row.run_id),
            execution_changed: item.changes_execution(row.run_id),
            hash: row.hash,
        },
        records: Some(Arc::from(row.records.as_str())),
    })
    .collect()
}

/// What a listener hears next.
#[derive(Debug)]
pub(super) enum Heard {
    Batch(Arc<Kept>),
    /// It has heard everything.
    Nothing,
    /// Something that it has not heard is not in memory any more.
    Gap,
}

/// Somebody who listens to a tail.
#[derive(Debug)]
pub(super) struct Listener {
    tail: Arc<Tail>,
    changed: watch::Receiver<()>,
    /// The number of the next batch in memory.
    next: u64,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.tail.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.tail.ring().clear();
        }
    }
}

impl Listener {
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Goes to the end: what was committed before is read elsewhere.
    pub(super) fn skip(&mut self) {
        self.changed.mark_unchanged();
        self.next = self.tail.end();
    }

    /// Returns what comes next.
    pub(super) fn next(&mut self) -> Heard {
        self.changed.mark_unchanged();
        let ring = self.tail.ring();
        let Some(place) = self.next.checked_sub(ring.first) else {
            // What follows of another slot may be of a run of which something is gone.
            return Heard::Gap;
        };
        let kept = usize::try_from(place)
            .ok()
            .and_then(|place| ring.kept.get(place));
        let Some(kept) = kept else {
            return Heard::Nothing;
        };
        self.next += 1;
        Heard::Batch(Arc::clone(kept))
    }

    /// Waits until something was committed since it was last looked.
    pub(super) async fn changed(&mut self) {
        // The tail lives as long as this does.
        let _ = self.changed.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use history::WorkflowId;

    use super::*;
    use crate::store::commit::HistoryRow;

    const SLOT: Slot = Slot { epoch: 1, n: 0 };

    /// Returns an item with one row of so many bytes.
    fn item(bytes: usize) -> Item {
        let row = HistoryRow {
            run_id: RunId(uuid::Uuid::nil()),
            seq: 0,
            first_event_id: 1,
            records: "x".repeat(bytes),
            hash: [0; 32],
        };
        Item {
            shard: 0,
            namespace: 1,
            workflow_id: WorkflowId::known("w"),
            incarnation: 0,
            parts: Vec::new(),
            attempts: Vec::new(),
            rows: vec![row],
            starts: Vec::new(),
            closes: Vec::new(),
            facts: Vec::new(),
            open: None,
            outbox: None,
        }
    }

    /// Returns the number of the batch that a listener hears next.
    fn number(heard: &Heard) -> Option<i64> {
        match heard {
            Heard::Batch(kept) => Some(kept.batch.number),
            Heard::Nothing | Heard::Gap => None,
        }
    }

    #[test]
    fn nothing_is_kept_while_nobody_listens() {
        let tail = Arc::new(Tail::default());
        let none = HashSet::default();
        tail.publish(SLOT, (1, 0), &[item(1)], &none);
        let mut listener = tail.listen();
        assert!(matches!(listener.next(), Heard::Nothing));
        tail.publish(SLOT, (2, 1), &[item(1)], &none);
        assert_eq!(number(&listener.next()), Some(2));
        drop(listener);
        assert_eq!(tail.ring().bytes, 0);
        tail.publish(SLOT, (3, 2), &[item(1)], &none);
        assert!(matches!(tail.listen().next(), Heard::Nothing));
    }

    #[test]
    fn who_lags_behind_what_is_kept_hears_of_a_gap_and_no_batch_behind_it() {
        let limits = Limits {
            batches: 8,
            bytes: 1000,
        };
        let none = HashSet::default();
        for bytes in [1, 400] {
            let tail = Arc::new(Tail::of(limits));
            let mut listener = tail.listen();
            for n in 1..=8 {
                tail.publish(SLOT, (n, n - 1), &[item(1)], &none);
            }
            assert_eq!(number(&listener.next()), Some(1));
            for n in 9..=11 {
                tail.publish(SLOT, (n, n - 1), &[item(bytes)], &none);
            }
            assert!(matches!(listener.next(), Heard::Gap));
            listener.skip();
            tail.publish(SLOT, (12, 11), &[item(1)], &none);
            assert_eq!(number(&listener.next()), Some(12));
        }
    }
}
