//! Reads the table `feed`, and the rows of `history` that it names.

use std::sync::Arc;

use futures::FutureExt as _;
use history::RunId;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    page::{Batch, Change, Page},
    slot::{Latest, Slot},
    source::Source,
};
use crate::{
    limits::FORMER_MEMBERS_KEPT,
    store::{Answer, Error},
};

impl Source for PgPool {
    fn after<'a>(&'a self, cursor: &'a Cursor, most: i64) -> Answer<'a, Option<Page>> {
        after(self, cursor, most).boxed()
    }

    fn end(&self) -> Answer<'_, Cursor> {
        end(self).boxed()
    }

    fn records<'a>(&'a self, of: &'a [Change]) -> Answer<'a, Vec<Option<Arc<str>>>> {
        records(self, of).boxed()
    }
}

/// What a row of a page says, and of it once more what is the same in all of them. Without batches there is one row, of which only that is.
struct Row {
    latest_epoch: i64,
    mark: i64,
    members: Vec<i64>,
    missed: bool,
    batch: Option<i64>,
    epoch: Option<i64>,
    slot: Option<i16>,
    shards: Option<Vec<i16>>,
    run_ids: Option<Vec<Uuid>>,
    seqs: Option<Vec<i32>>,
    closes: Option<Vec<bool>>,
    changed: Option<Vec<bool>>,
    hashes: Option<Vec<Vec<u8>>>,
}

/// Returns the batches behind a cursor, at most so many; `None` where some that it has not read were deleted, or it is of another time of
/// this database, which holds less than it has read.
///
/// All of it is as of one snapshot, and in the order of `position`: a run's next row is written when the one before it is committed, so
/// whatever is cut off at the end has nothing in front of it that belongs behind.
pub(crate) async fn after(
    executor: impl PgExecutor<'_>,
    cursor: &Cursor,
    most: i64,
) -> Result<Option<Page>, Error> {
    let (slots, batches): (Vec<Slot>, Vec<i64>) = cursor.slots().unzip();
    let epochs: Vec<i64> = slots.iter().map(|slot| slot.epoch).collect();
    let slots: Vec<i16> = slots.iter().map(|slot| slot.n).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"WITH known AS (
               SELECT * FROM unnest($2::bigint[], $3::smallint[], $4::bigint[]) AS c (epoch, slot, batch)
           ),
           unread AS (
               SELECT m.epoch, s.n::smallint AS slot, m.batches[s.n + 1] AS last, coalesce(k.batch, 0) AS read
               FROM (SELECT i.epoch, NULL::bigint[] AS batches FROM member i
                     UNION ALL SELECT f.epoch, f.batches FROM former_member f) AS m
               CROSS JOIN generate_series(0, slots_of_member() - 1) AS s (n)
               LEFT JOIN known k ON k.epoch = m.epoch AND k.slot = s.n
               WHERE m.epoch > $1 OR m.epoch = ANY ($2)
           )
           SELECT c.epoch AS latest_epoch, mark_of(c.epoch) AS "mark!",
                  coalesce((SELECT array_agg(m.epoch) FROM member m), '{}') AS "members!",
                  -- Epochs are contiguous, and the latest are remembered.
                  ($1 > c.epoch OR $1 < c.epoch - $6::bigint OR ($1 > 0 AND mark_of($1) <> $7)
                   OR EXISTS (SELECT FROM known k WHERE NOT EXISTS (SELECT FROM unread u WHERE u.epoch = k.epoch))
                   OR EXISTS (
                       SELECT FROM unread u
                       LEFT JOIN feed_expired x ON x.epoch = u.epoch AND x.slot = u.slot
                       WHERE u.read < x.batch
                          OR (u.read > 0 AND u.read > coalesce(
                                 u.last, (SELECT l.batch FROM feed l WHERE l.epoch = u.epoch AND l.slot = u.slot
                                          ORDER BY l.batch DESC LIMIT 1), 0))
                   )) AS "missed!",
                  f.epoch AS "epoch?", f.slot AS "slot?", f.batch AS "batch?", f.shards, f.run_ids, f.seqs, f.closes, f.changed, f.hashes
           FROM cluster c
           LEFT JOIN LATERAL (
               SELECT x.*
               FROM unread u
               CROSS JOIN LATERAL (
                   SELECT o.* FROM feed o
                   WHERE o.epoch = u.epoch AND o.slot = u.slot AND o.batch > u.read
                   ORDER BY o.batch
                   LIMIT $5
               ) AS x
               ORDER BY x.position
               LIMIT $5
           ) AS f ON true
           ORDER BY f.position"#,
        cursor.latest().epoch,
        &epochs,
        &slots,
        &batches,
        most,
        FORMER_MEMBERS_KEPT,
        cursor.latest().mark,
    )
    .fetch_all(executor)
    .await?;
    let mut page = Page::default();
    for row in rows {
        if row.missed {
            return Ok(None);
        }
        page.latest = Latest {
            epoch: row.latest_epoch,
            mark: row.mark,
        };
        page.members.clone_from(&row.members);
        page.batches.extend(row.batch()?);
    }
    page.is_last = i64::try_from(page.batches.len()).is_ok_and(|read| read < most);
    Ok(Some(page))
}

/// Returns the cursor behind everything that is committed.
pub(crate) async fn end(executor: impl PgExecutor<'_>) -> Result<Cursor, Error> {
    let rows = sqlx::query!(
        r#"SELECT c.epoch AS latest, mark_of(c.epoch) AS "mark!", m.epoch AS "epoch?", last_batches(m.epoch) AS batches
           FROM cluster c LEFT JOIN member m ON true"#
    )
    .fetch_all(executor)
    .await?;
    let latest = rows.first().map_or_else(Latest::default, |row| Latest {
        epoch: row.latest,
        mark: row.mark,
    });
    let slots = rows.into_iter().filter_map(|row| {
        let (epoch, batches) = row.epoch.zip(row.batches)?;
        let slots = (0..)
            .zip(batches)
            .filter(|(n, batch)| *n == 0 || *batch > 0);
        Some(slots.map(move |(n, batch)| (Slot { epoch, n }, batch)))
    });
    Ok(Cursor::at(latest, slots.flatten()))
}

async fn records(pool: &PgPool, of: &[Change]) -> Result<Vec<Option<Arc<str>>>, Error> {
    let shards: Vec<i16> = of.iter().map(|row| row.shard).collect();
    let run_ids: Vec<Uuid> = of.iter().map(|row| row.run_id.0).collect();
    let seqs: Vec<i32> = of.iter().map(|row| row.seq).collect();
    let records = sqlx::query_scalar!(
        r#"SELECT h.records AS "records?"
           FROM unnest($1::smallint[], $2::uuid[], $3::integer[]) WITH ORDINALITY AS u (shard, run_id, seq, n)
           LEFT JOIN history h ON h.shard = u.shard AND h.run_id = u.run_id AND h.seq = u.seq
           ORDER BY u.n"#,
        &shards,
        &run_ids,
        &seqs,
    )
    .fetch_all(pool)
    .await?;
    Ok(records
        .into_iter()
        .map(|text| text.map(Arc::from))
        .collect())
}

impl Row {
    fn batch(self) -> Result<Option<Batch>, Error> {
        let (Some(epoch), Some(n), Some(number)) = (self.epoch, self.slot, self.batch) else {
            return Ok(None);
        };
        let corrupt = |problem: &str| Error::Corrupt {
            table: "feed",
            row: format!("epoch {epoch} slot {n} batch {number}"),
            problem: problem.to_owned(),
        };
        let shards = self.shards.unwrap_or_default();
        let run_ids = self.run_ids.unwrap_or_default();
        let seqs = self.seqs.unwrap_or_default();
        let closes = self.closes.unwrap_or_default();
        let executions = self.changed.unwrap_or_default();
        let hashes = self.hashes.unwrap_or_default();
        let rows = shards.len();
        let lengths = [
            run_ids.len(),
            seqs.len(),
            closes.len(),
            executions.len(),
            hashes.len(),
        ];
        if lengths != [rows; 5] {
            return Err(corrupt("its arrays are not of one length"));
        }
        let mut changes = Vec::with_capacity(rows);
        let said = closes.into_iter().zip(executions);
        for ((((shard, run_id), seq), (closes, execution_changed)), hash) in
            (shards.into_iter().zip(run_ids).zip(seqs).zip(said)).zip(hashes)
        {
            changes.push(Change {
                shard,
                run_id: RunId(run_id),
                seq,
                closes,
                execution_changed,
                hash: hash
                    .try_into()
                    .map_err(|_| corrupt("a hash is not of 32 bytes"))?,
            });
        }
        Ok(Some(Batch {
            slot: Slot { epoch, n },
            number,
            changes,
        }))
    }
}
