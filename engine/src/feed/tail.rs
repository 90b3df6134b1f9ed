//! The end of the feed in memory: what this process has committed last.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::HashSet;
use history::RunId;
use tokio::sync::watch;

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

/// What this process has committed last, for those who listen in it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    ring: Mutex<Ring>,
    /// How many listen.
    listeners: AtomicUsize,
    /// How often shards were taken: what is committed from then on follows what others have committed, and they are not heard here.
    taken: AtomicU64,
    /// Told of each batch.
    changed: watch::Sender<()>,
}

impl Tail {
    /// Takes note that shards are served here from now on.
    pub(crate) fn take(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
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
        if self.listeners.load(Ordering::SeqCst) == 0 {
            return;
        }
        let rows = written(items, lost);
        let records = rows.iter().filter_map(|row| row.records.as_ref());
        let bytes: usize = records.map(|records| records.len()).sum();
        let kept = Kept {
            batch: Committed { slot, number, rows },
            previous,
            taken: self.taken(),
        };
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(Arc::new(kept), bytes);
        self.changed.send_replace(());
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
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.first + ring.kept.len() as u64
    }
}

impl Ring {
    fn keep(&mut self, kept: Arc<Kept>, bytes: usize) {
        self.kept.push_back(kept);
        self.bytes += bytes;
        while self.kept.len() > FEED_TAIL_BATCHES_MAX || self.bytes > FEED_TAIL_BYTES_MAX {
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
            execution_changed: item.changes_execution(row.run_id),
            hash: row.hash,
        },
        records: Some(Arc::from(row.records.as_str())),
    })
    .collect()
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
        self.tail.listeners.fetch_sub(1, Ordering::SeqCst);
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

    /// Returns the next batch, if there is one. Those that are not in memory any more are passed over.
    pub(super) fn next(&mut self) -> Option<Arc<Kept>> {
        self.changed.mark_unchanged();
        let ring = self
            .tail
            .ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = self.next.saturating_sub(ring.first);
        let kept = ring.kept.get(usize::try_from(place).ok()?)?;
        self.next = ring.first + place + 1;
        Some(Arc::clone(kept))
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
            open: None,
            outbox: None,
        }
    }

    #[test]
    fn nothing_is_kept_while_nobody_listens() {
        let tail = Arc::new(Tail::default());
        let none = HashSet::default();
        tail.publish(SLOT, (1, 0), &[item(1)], &none);
        let mut listener = tail.listen();
        assert!(listener.next().is_none());
        tail.publish(SLOT, (2, 1), &[item(1)], &none);
        assert_eq!(listener.next().unwrap().batch.number, 2);
        drop(listener);
        tail.publish(SLOT, (3, 2), &[item(1)], &none);
        assert!(tail.listen().next().is_none());
    }

    #[test]
    fn who_lags_behind_what_is_kept_finds_that_something_is_missing() {
        let tail = Arc::new(Tail::default());
        let mut listener = tail.listen();
        let none = HashSet::default();
        let (bytes, batches) = (FEED_TAIL_BYTES_MAX / 8, 20);
        for n in 1..=batches {
            tail.publish(SLOT, (n, n - 1), &[item(bytes)], &none);
        }
        let read: Vec<(i64, i64)> = std::iter::from_fn(|| listener.next())
            .map(|kept| (kept.previous, kept.batch.number))
            .collect();
        assert_eq!(read.len(), 8);
        assert_eq!((read[0], read[7]), ((12, 13), (19, 20)));
    }
}
