//! The limit: a bare script that replays the very arrays which the engine committed, through the engine's own
//! statements and fence, with as many workflows in flight and nothing else to do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use engine::store::commit::{CloseRow, Connection, Facts, HistoryRow, Item, StartRow};
use history::{RequestId, RunId, TaskQueue, Timestamp, WorkflowId, WorkflowType};
use uuid::Uuid;

use crate::{
    load::Figures,
    meter::{Measured, Meter, Store},
};

/// How many rows of history are replayed in one measurement.
const ROWS: usize = 40_000;
/// How many commits of one row are measured.
const COMMITS: i64 = 2000;
/// The slots that the script writes through: none of the engine's own.
const SLOTS: [i16; 2] = [6, 7];

/// What a bare script reaches.
pub(crate) struct Limits {
    /// A commit of one row, one after the other.
    pub(crate) one_row: Measured,
    /// Workflows, by how many activities they have; each row of theirs is a commit.
    pub(crate) replays: Vec<(u32, Measured)>,
}

/// Measures both on the database that the engine has just filled with workflows of so many activities, and has closed.
pub(crate) async fn measure(
    url: &str,
    in_flight: usize,
    activities: &[u32],
    meter: &Meter,
) -> Result<Limits> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let owner = Uuid::new_v4();
    let epoch = 0_i64;
    // Slots without a member: nobody fences them.
    client
        .execute(
            "INSERT INTO slot (member, n, epoch) SELECT $1, n, 0 FROM unnest($2::smallint[]) AS n",
            &[&owner, &SLOTS.as_slice()],
        )
        .await?;
    let mut lanes = Vec::new();
    for slot in SLOTS {
        lanes.push(Lane {
            connection: Connection::open(url, slot, owner, epoch).await?,
            batch: 0,
        });
    }
    // The script is what else is loaded by this process: its client.
    let mut one_row = None;
    let mut replays = Vec::new();
    for activities in activities {
        let recorded = Recorded::read(&client, *activities).await?;
        if one_row.is_none() {
            let load = single(&mut lanes[0], &recorded);
            one_row = Some(meter.measure(&[], Store::Postgres, true, load).await?);
        }
        let load = replay(&mut lanes, &recorded, in_flight);
        // On the heap: it holds the columns of a batch for each connection.
        let measuring = Box::pin(meter.measure(&[], Store::Postgres, true, load));
        let measured = measuring.await?;
        replays.push((*activities, measured));
    }
    let one_row = one_row.context("no workflow to replay")?;
    Ok(Limits { one_row, replays })
}

/// One workflow as it was committed.
struct Recorded {
    workflow_type: String,
    task_queue: String,
    /// The rows of its history: text, hash and first event.
    rows: Vec<(String, [u8; 32], i64)>,
    history_length: i64,
}

impl Recorded {
    /// Reads the last workflow of so many activities that took no more commits than it must: one for each, and one.
    async fn read(client: &tokio_postgres::Client, activities: u32) -> Result<Self> {
        let history_length = 5 + 6 * i64::from(activities);
        let run = client
            .query_opt(
                "SELECT shard, run_id, workflow_type, task_queue, history_length FROM execution e
                 WHERE status = 2 AND history_length = $1
                   AND (SELECT count(*) FROM history h WHERE h.shard = e.shard AND h.run_id = e.run_id) = $2
                 ORDER BY run_id DESC LIMIT 1",
                &[&history_length, &i64::from(activities + 1)],
            )
            .await?
            .with_context(|| format!("no workflow of {activities} activities took {} commits", activities + 1))?;
        let rows = client
            .query(
                "SELECT records, hash, first_event_id FROM history WHERE shard = $1 AND run_id = $2 ORDER BY seq",
                &[&run.get::<_, i16>(0), &run.get::<_, Uuid>(1)],
            )
            .await?;
        let rows = rows
            .iter()
            .map(|row| {
                Ok((
                    row.get(0),
                    row.get::<_, Vec<u8>>(1)
                        .try_into()
                        .ok()
                        .context("a hash of 32 bytes")?,
                    row.get(2),
                ))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            workflow_type: run.get(2),
            task_queue: run.get(3),
            rows,
            history_length: run.get(4),
        })
    }

    fn start(&self) -> Item {
        let run_id = RunId(Uuid::now_v7());
        let id = Uuid::new_v4();
        let mut item = self.row(run_id, &WorkflowId::known(id.to_string()), 0);
        item.starts.push(StartRow {
            run_id,
            workflow_type: WorkflowType::known(&self.workflow_type),
            task_queue: TaskQueue::known(&self.task_queue),
            first_run_id: run_id,
            parent: None,
            request_id: Some(RequestId::known(id.to_string())),
            previous_run_id: None,
            started_at: Timestamp(0),
            execution_at: None,
            root: None,
            facts: Facts::default(),
        });
        item
    }

    /// Returns a row that follows the first; the last one closes the run.
    fn next(&self, start: &Item, n: usize) -> Item {
        let run_id = start.rows[0].run_id;
        let mut item = self.row(run_id, &start.workflow_id, n);
        if n + 1 == self.rows.len() {
            item.closes.push(CloseRow {
                run_id,
                status: 2,
                closed_at: Timestamp(1),
                history_length: self.history_length,
                history_bytes: 0,
            });
        }
        item
    }

    fn row(&self, run_id: RunId, workflow_id: &WorkflowId, n: usize) -> Item {
        let (records, hash, first_event_id) = &self.rows[n];
        Item {
            shard: i16::try_from(run_id.0.as_u128() % 1024).unwrap_or_default(),
            namespace: 1,
            workflow_id: workflow_id.clone(),
            incarnation: 0,
            parts: Vec::new(),
            attempts: Vec::new(),
            rows: vec![HistoryRow {
                run_id,
                seq: i32::try_from(n).unwrap_or_default(),
                first_event_id: *first_event_id,
                records: records.clone(),
                hash: *hash,
            }],
            starts: Vec::new(),
            closes: Vec::new(),
            facts: Vec::new(),
            open: None,
            outbox: None,
        }
    }
}

/// A slot and its last batch.
struct Lane {
    connection: Connection,
    batch: i64,
}

impl Lane {
    async fn commit(&mut self, items: &[Item]) -> Result<()> {
        self.batch += 1;
        let conflicts = self.connection.commit(self.batch, items, &[]).await?;
        anyhow::ensure!(conflicts.0.is_empty(), "the script's ids are new");
        Ok(())
    }
}

/// Commits one row after the other.
async fn single(lane: &mut Lane, recorded: &Recorded) -> Result<Figures> {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    let start = recorded.start();
    lane.commit(std::slice::from_ref(&start)).await?;
    for n in 0..COMMITS {
        let mut item = recorded.next(&start, recorded.rows.len() - 1);
        // The last one closes the run: an engine that takes over folds those that are open, and this one makes no sense.
        if n + 1 < COMMITS {
            item.closes.clear();
        }
        item.rows[0].seq = i32::try_from(n).unwrap_or_default() + 1;
        let sent = Instant::now();
        lane.commit(&[item]).await?;
        latencies.push(sent.elapsed());
    }
    Ok(Figures::of(begun.elapsed(), vec![latencies]))
}

/// Replays workflows: half of those in flight on each connection, row by row.
async fn replay(lanes: &mut [Lane], recorded: &Recorded, in_flight: usize) -> Result<Figures> {
    let begun = Instant::now();
    let share = in_flight / lanes.len();
    let each = ROWS / recorded.rows.len() / lanes.len();
    let running = lanes.iter_mut().map(|lane| async move {
        let mut latencies = Vec::new();
        while latencies.len() < each {
            let sent = Instant::now();
            let starts: Vec<Item> = (0..share).map(|_| recorded.start()).collect();
            lane.commit(&starts).await?;
            for n in 1..recorded.rows.len() {
                let next = starts.iter().map(|start| recorded.next(start, n));
                lane.commit(&next.collect::<Vec<Item>>()).await?;
            }
            latencies.extend(std::iter::repeat_n(sent.elapsed(), share));
        }
        anyhow::Ok(latencies)
    });
    let mut running: Vec<_> = running.collect();
    let (second, first) = (
        running.pop().context("two lanes")?,
        running.pop().context("two lanes")?,
    );
    let (first, second) = tokio::join!(first, second);
    let time: Duration = begun.elapsed();
    Ok(Figures::of(time, vec![first?, second?]))
}
