//! The feed on a real Postgres: what readers of it are told, when, and what does not keep them from it.

use std::{collections::BTreeMap, time::Duration};

use engine::{Change, Engine, Error, FeedCursor as Cursor, FeedReader, Missed, Written};
use history::RunId;
use tokio::time::{Instant, timeout};

use crate::support::*;

/// What a reader was told of each run: its rows, in order.
#[derive(Default)]
struct Told(BTreeMap<RunId, Vec<Written>>);

impl Told {
    /// Reads until everything that is in the database was told, each row once and in order.
    async fn follow(&mut self, reader: &mut FeedReader, url: &str) {
        let rows = number(url, "SELECT count(*) FROM history").await;
        let rows = usize::try_from(rows).unwrap();
        let all = async {
            while self.rows() < rows {
                for row in reader.next().await.expect("nothing is missed").rows {
                    let told = self.0.entry(row.change.run_id).or_default();
                    assert_eq!(usize::try_from(row.change.seq), Ok(told.len()));
                    told.push(row);
                }
            }
        };
        timeout(PATIENCE, all).await.expect("all is told in time");
        self.compare(url).await;
    }

    fn rows(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Holds what was told against the tables.
    async fn compare(&self, url: &str) {
        let stored = connect(url)
            .await
            .query(
                "SELECT h.run_id, h.seq, h.shard, h.hash, h.records,
                        h.seq = 0 OR (e.closed_at IS NOT NULL AND h.seq = max(h.seq) OVER (PARTITION BY h.run_id)),
                        e.closed_at IS NOT NULL AND h.seq = max(h.seq) OVER (PARTITION BY h.run_id)
                 FROM history h JOIN execution e ON e.shard = h.shard AND e.run_id = h.run_id",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(stored.len(), self.rows());
        for row in stored {
            let seq: i32 = row.get(1);
            let told = &self.0[&RunId(row.get(0))][usize::try_from(seq).unwrap()];
            let Change {
                shard,
                closes,
                execution_changed,
                hash,
                ..
            } = told.change;
            assert_eq!(
                (shard, hash.as_slice()),
                (row.get(2), row.get::<_, &[u8]>(3))
            );
            assert_eq!(told.records.as_deref(), row.get(4));
            assert_eq!(execution_changed, row.get::<_, bool>(5));
            assert_eq!(closes, row.get::<_, bool>(6));
        }
    }
}

async fn reader(engine: &Engine, cursor: Option<Cursor>) -> FeedReader {
    engine.feed(cursor).await.expect("the feed can be read")
}

/// Has runs of `sequence` done, named after each other.
pub(crate) async fn run_some(engine: &Engine, name: &str, runs: usize) {
    for n in 0..runs {
        let id = format!("{name}-{n}");
        engine
            .start_workflow(&namespace(), start("sequence", &id))
            .await
            .unwrap();
    }
    for n in 0..runs {
        end(engine, &format!("{name}-{n}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_told_once_and_in_order_as_it_is_written_and_later_from_the_beginning() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(3), echo());
    let (mut told, mut live) = (Told::default(), reader(&engine, None).await);
    let running = run_some(&engine, "w", 50);
    tokio::join!(running, async {
        // Those that lag are given the same.
        let mut lagging = reader(&engine, Some(Cursor::default())).await;
        let first = lagging.next().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut told = Told::default();
        for row in first.rows {
            told.0.entry(row.change.run_id).or_default().push(row);
        }
        told.follow(&mut lagging, &url).await;
    });
    told.follow(&mut live, &url).await;

    let beginning: Cursor = "0".parse().unwrap();
    Told::default()
        .follow(&mut reader(&engine, Some(beginning)).await, &url)
        .await;
    // Behind all of it nothing is left.
    let mut end = reader(&engine, Some(live.cursor().clone())).await;
    assert!(
        timeout(Duration::from_millis(300), end.next())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_here_is_told_at_once() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    let mut live = reader(&engine, None).await;
    run_some(&engine, "first", 1).await;
    Told::default().follow(&mut live, &url).await;
    let mut late = Vec::new();
    for n in 0..20 {
        let id = format!("w-{n}");
        engine
            .start_workflow(&namespace(), start("sequence", &id))
            .await
            .unwrap();
        let begun = Instant::now();
        // Its row of both events and the one of its end.
        let mut rows = 0;
        while rows < 2 {
            rows += live.next().await.unwrap().rows.len();
        }
        late.push(begun.elapsed());
        end(&engine, &id).await;
    }
    late.sort_unstable();
    assert!(late[10] < Duration::from_millis(200), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_of_others_keeps_a_reader_from_what_is_committed() {
    let url = database().await;
    let neighbour = connect(&database().await).await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "before", 3).await;
    // One that writes elsewhere and does not end, and one like pg_dump's here.
    neighbour
        .batch_execute("BEGIN; CREATE TABLE t (n int)")
        .await
        .unwrap();
    let dump = connect(&url).await;
    dump.batch_execute(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE feed, history IN ACCESS SHARE MODE; SELECT count(*) FROM feed",
    )
    .await
    .unwrap();
    run_some(&engine, "beside", 3).await;
    let mut reader = reader(&engine, Some(Cursor::default())).await;
    Told::default().follow(&mut reader, &url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_in_another_process_where_it_was_in_one_that_is_gone() {
    let url = database().await;
    let first = owner(&url).await;
    let working = work(&first, sequence(2), echo());
    let (mut told, mut live) = (Told::default(), reader(&first, None).await);
    run_some(&first, "first", 5).await;
    told.follow(&mut live, &url).await;
    let cursor = live.cursor().to_string();
    run_some(&first, "unread", 5).await;
    first.close().await;
    working.abort();

    let second = owner(&url).await;
    work(&second, sequence(2), echo());
    run_some(&second, "second", 5).await;
    let cursor: Cursor = cursor.parse().unwrap();
    told.follow(&mut reader(&second, Some(cursor)).await, &url)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_member_commits_is_told_within_a_second() {
    let url = database().await;
    let one = owner(&url).await;
    let other = Engine::open(engine::Config::new(&*url, "http://127.0.0.1:2"))
        .await
        .unwrap();
    timeout(PATIENCE, other.owning()).await.unwrap();
    for engine in [&one, &other] {
        work(engine, sequence(1), echo());
    }
    let (mut told, mut live) = (Told::default(), reader(&one, None).await);
    let mut here = 0;
    for n in 0..20 {
        let request = || start("sequence", &format!("w-{n}"));
        match one.start_workflow(&namespace(), request()).await {
            Ok(_) => here += 1,
            Err(Error::NotOwner { .. }) => {
                other.start_workflow(&namespace(), request()).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..20).contains(&here), "{here}");
    until(
        &url,
        "(SELECT count(*) = 20 FROM execution WHERE closed_at IS NOT NULL)",
    )
    .await;
    let begun = Instant::now();
    told.follow(&mut live, &url).await;
    let took = begun.elapsed();
    assert!(
        took < engine::limits::FEED_LATE_MAX + Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_member_commits_is_told_in_time_however_busy_this_one_is() {
    let url = database().await;
    let one = owner(&url).await;
    let other = Engine::open(engine::Config::new(&*url, "http://127.0.0.1:2"))
        .await
        .unwrap();
    timeout(PATIENCE, other.owning()).await.unwrap();
    let mut live = reader(&one, None).await;
    // So many that each has some, one after the other, so that this one always has something to tell.
    let busy = async {
        for n in 0.. {
            let request = start("nobody", &format!("busy-{n}"));
            match one.start_workflow(&namespace(), request).await {
                Ok(_) | Err(Error::NotOwner { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = async {
        let mut theirs = None;
        for n in 0.. {
            let request = start("nobody", &format!("theirs-{n}"));
            if let Ok(started) = other.start_workflow(&namespace(), request).await {
                theirs = Some(started.run_id);
                break;
            }
        }
        let begun = Instant::now();
        loop {
            let batch = live.next().await.unwrap();
            if batch
                .rows
                .iter()
                .any(|row| Some(row.change.run_id) == theirs)
            {
                return begun.elapsed();
            }
        }
    };
    let took = tokio::select! {
        () = busy => unreachable!("it has no end"),
        took = timeout(PATIENCE, told) => took.expect("it is told"),
    };
    assert!(
        took < engine::limits::FEED_LATE_MAX + Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_hears_that_something_was_missed() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    let cursor = reader(&engine, None).await.cursor().clone();
    run_some(&engine, "w", 5).await;
    execute(
        &url,
        "UPDATE feed SET at = at - interval '1 day'; SELECT expire_feed(interval '10 minutes', interval '10 minutes', 1000)",
    )
    .await;
    let mut away = reader(&engine, Some(cursor)).await;
    assert_eq!(away.next().await.unwrap_err(), Missed);
    // At the end it goes on.
    let mut live = reader(&engine, None).await;
    run_some(&engine, "later", 1).await;
    let told = timeout(PATIENCE, live.next()).await.unwrap().unwrap();
    assert!(!told.rows.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_does_not_get_its_id_is_not_told() {
    let url = database().await;
    let first = owner(&url).await;
    let working = work(&first, sequence(1), echo());
    run_some(&first, "w", 10).await;
    first.close().await;
    working.abort();
    // The second engine does not know what these ids mean: the commit refuses its starts, with others in the same batch.
    let second = owner(&url).await;
    work(&second, sequence(1), echo());
    let live = reader(&second, None).await;
    tokio::join!(run_some(&second, "w", 10), run_some(&second, "new", 10));
    // In memory and in the table they were left out.
    let mut told = Told::default();
    let mut whole = reader(&second, Some(Cursor::default())).await;
    told.follow(&mut whole, &url).await;
    let runs = number(&url, "SELECT count(*) FROM execution").await;
    assert_eq!(i64::try_from(told.0.len()), Ok(runs));
    drop(live);
}
