//! Readers of the feed, who are sure to be told of each row once and in order, whatever happens to members and databases. One that is away
//! for too long hears that it has missed something, and begins at the end again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use history::{RunId, Timestamp};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    odds::Odds,
    store::{FEED_KEPT, Memory},
    world::{chance, dawdle, now},
};
use crate::{
    feed::{FeedReader, Tail},
    store::feed::{Change, Cursor, Page, Source as _},
};

/// How many there are.
pub(super) const READERS: usize = 2;

/// How late it hears of what is committed while nothing goes wrong, without what it takes itself to look at what it hears.
const LATE: Duration = Duration::from_millis(1500);

/// What one of them knows.
#[derive(Debug, Default)]
struct Known {
    cursor: Cursor,
    /// The next row of each run.
    next: BTreeMap<RunId, i32>,
    /// It has read everything from the beginning.
    whole: bool,
    /// When it had last read everything.
    read_all_at: Option<Instant>,
}

/// A reader of the feed.
#[derive(Debug)]
pub(super) struct Reader(Mutex<Known>);

impl Reader {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Known {
            whole: true,
            read_all_at: Some(Instant::now()),
            ..Known::default()
        }))
    }

    /// Reads until something is wrong; returns that. Now page by page, now for a while in one of the processes.
    pub(super) async fn read(&self, memory: &Memory, tails: impl Fn() -> Vec<Arc<Tail>>) -> String {
        loop {
            let read = if chance(fastrand::Rng::bool) {
                let tails = tails();
                let process = chance(|rng| rng.usize(0..tails.len()));
                self.follow(memory, &tails[process]).await
            } else {
                let pause = chance(|rng| match rng.u32(0..40) {
                    0 => rng.u64(0..10_000),
                    1..10 => rng.u64(0..400),
                    _ => rng.u64(0..20),
                });
                sleep(Duration::from_millis(pause)).await;
                let most = chance(|rng| rng.i64(1..=6));
                self.turn(memory, most).await.map(drop)
            };
            if let Err(violation) = read {
                return violation;
            }
        }
    }

    /// Follows what is committed in a process for a while, be it alive or not.
    async fn follow(&self, memory: &Memory, tail: &Arc<Tail>) -> Result<(), String> {
        let source = Arc::new(memory.clone());
        let cursor = self.cursor()?;
        let Ok(mut reader) = FeedReader::begin(source, tail, Some(cursor)).await else {
            return Ok(());
        };
        let until = Instant::now() + Duration::from_millis(chance(|rng| rng.u64(0..5000)));
        let (begun, calm) = (now(), memory.state().odds == Odds::default());
        let mut own_time = Duration::ZERO;
        while let Ok(read) = timeout_at(until, reader.next()).await {
            let Ok(batch) = read else {
                return self.begin_anew(memory).await.map(drop);
            };
            {
                let mut known = self.0.lock().unwrap();
                for row in &batch.rows {
                    known.see(memory, &row.change)?;
                    let Change { run_id, seq, .. } = row.change;
                    let stored = memory.state().stored(run_id, seq);
                    if row.records.as_deref() != stored.as_deref() {
                        return Err(format!(
                            "a reader of the feed was told another row {seq} of {run_id}"
                        ));
                    }
                }
                known.cursor.clone_from(reader.cursor());
            }
            if chance(|rng| rng.u32(0..10)) == 0 {
                let before = Instant::now();
                dawdle(300).await;
                own_time += before.elapsed();
            }
        }
        let late = (LATE + own_time).as_micros();
        let in_time = Timestamp(now().0 - i64::try_from(late).unwrap_or(0));
        if calm && memory.state().unread(reader.cursor(), begun, in_time) {
            return Err("a reader of the feed hears too late of what is committed".to_owned());
        }
        self.0.lock().unwrap().cursor.clone_from(reader.cursor());
        Ok(())
    }

    /// Returns its cursor as it is given to clients, and comes back.
    fn cursor(&self) -> Result<Cursor, String> {
        let cursor = self.0.lock().unwrap().cursor.to_string();
        cursor.parse().map_err(|error| format!("{error}"))
    }

    /// Reads all that is there; says what is wrong with it, or what was never told.
    pub(super) async fn finish(&self, memory: &Memory) -> Result<(), String> {
        while !self.turn(memory, 100).await? {}
        let known = self.0.lock().unwrap();
        for (run_id, rows) in memory.state().rows() {
            let read = known.next.get(&run_id).copied();
            let complete = read == i32::try_from(rows).ok();
            if !complete && (known.whole || read.is_some()) {
                return Err(format!(
                    "a reader of the feed was told of {read:?} of {rows} rows of {run_id}"
                ));
            }
        }
        Ok(())
    }

    /// Reads a page, and says whether nothing is left.
    async fn turn(&self, memory: &Memory, most: i64) -> Result<bool, String> {
        let cursor = self.cursor()?;
        let asked_at = Instant::now();
        match memory.after(&cursor, most).await {
            Ok(Some(page)) => self.take(memory, &page, asked_at),
            Ok(None) => self.begin_anew(memory).await,
            Err(_) => Ok(false),
        }
    }

    fn take(&self, memory: &Memory, page: &Page, asked_at: Instant) -> Result<bool, String> {
        let mut known = self.0.lock().unwrap();
        for batch in &page.batches {
            for change in &batch.changes {
                known.see(memory, change)?;
            }
        }
        known.cursor.turn(page);
        if page.is_last {
            known.read_all_at = Some(asked_at);
        }
        Ok(page.is_last)
    }

    async fn begin_anew(&self, memory: &Memory) -> Result<bool, String> {
        let read_all_at = self.0.lock().unwrap().read_all_at;
        if read_all_at.is_some_and(|at| at.elapsed() < FEED_KEPT) {
            return Err("a reader of the feed that is in time has missed something".to_owned());
        }
        if let Ok(cursor) = memory.end().await {
            *self.0.lock().unwrap() = Known {
                cursor,
                ..Known::default()
            };
        }
        Ok(false)
    }
}

impl Known {
    /// Takes note of a row.
    fn see(&mut self, memory: &Memory, change: &Change) -> Result<(), String> {
        let Change { run_id, seq, .. } = *change;
        let expected = match self.next.get(&run_id) {
            Some(next) => *next,
            None if self.whole => 0,
            None => seq,
        };
        if seq != expected {
            return Err(format!(
                "a reader of the feed was told of row {seq} of {run_id} in the place of {expected}"
            ));
        }
        self.next.insert(run_id, seq + 1);
        memory.state().look_at_change(change)
    }
}
