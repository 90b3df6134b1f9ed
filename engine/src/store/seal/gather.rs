//! Reads what is to be sealed: what the feed says was committed, and what was deleted.

use std::collections::{BTreeMap, btree_map};

use history::{RunId, chain::Hash};
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit;
use crate::{
    limits::{
        SEAL_ENTRIES_MAX, SEAL_PAGES_MAX, SEAL_TOMBSTONES_MAX, VISIBILITY_BUILD_PAGE,
        VISIBILITY_PAGE,
    },
    seal::{Entry, Subject},
    store::{
        Error, feed,
        feed::consumer::{Consumer, Name, Progress, begin_building},
    },
};

/// What is to be sealed next.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The heads of the runs that have changed, by run.
    pub(super) heads: BTreeMap<Uuid, Head>,
    /// Rows of `tombstone`.
    pub(super) tombstones: Vec<Entry>,
    /// Something may be missing: the feed did not reach back.
    pub(super) has_gap: bool,
    /// How far the feed is read, if it is further than before.
    pub(super) progress: Option<Progress>,
    /// There is no more than that.
    pub(super) is_all: bool,
}

/// The last row of a run, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) shard: i16,
    pub(super) seq: i32,
    pub(super) hash: Hash,
    /// It closes the run.
    pub(super) closes: bool,
}

impl Gathered {
    fn add(&mut self, run_id: Uuid, head: Head) {
        // What has the number of something else in the log would be sealed as that.
        if head.seq < 0 {
            tracing::error!(
                code = "CORRUPT_ROW",
                %run_id,
                row = head.seq,
                "somebody has written a row of history that can't be, or had the feed name it; it is not sealed"
            );
            return;
        }
        match self.heads.entry(run_id) {
            btree_map::Entry::Vacant(new) => {
                new.insert(head);
            }
            btree_map::Entry::Occupied(mut known) => {
                if known.get().seq < head.seq {
                    known.insert(head);
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        self.heads.len() >= SEAL_ENTRIES_MAX
    }

    /// Says whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.tombstones.is_empty()
    }
}

/// Reads on from where the log is.
pub(super) async fn gather(
    connection: &mut PgConnection,
    Consumer {
        mut progress,
        builds,
    }: Consumer,
) -> Result<Gathered, Error> {
    // Before the feed: what was deleted by then was committed before, and is in what is read of the feed, if that is all.
    let tombstones = tombstones(connection).await?;
    let mut gathered = Gathered::default();
    let mut pages = 0;
    while !gathered.is_full() && !gathered.is_all && pages < SEAL_PAGES_MAX {
        pages += 1;
        let next = match progress.clone() {
            Progress::ToBuild => {
                // The first time there was nothing to be missed.
                gathered.has_gap = builds > 0;
                Some(begin_building(connection, Name::Seal).await?)
            }
            Progress::Building {
                cursor,
                namespace,
                run_id,
            } => {
                gathered.has_gap |= builds > 1;
                Some(build(connection, &mut gathered, cursor, (namespace, run_id)).await?)
            }
            Progress::Reading(cursor) => read(connection, &mut gathered, cursor).await?,
        };
        if let Some(next) = next {
            progress = next;
            gathered.progress = Some(progress.clone());
        }
    }
    if gathered.is_all {
        let most = usize::try_from(SEAL_TOMBSTONES_MAX).unwrap_or(usize::MAX);
        gathered.is_all = tombstones.len() < most;
        gathered.tombstones = tombstones;
    }
    Ok(gathered)
}

/// Reads the heads of the next runs that are there.
async fn build(
    connection: &mut PgConnection,
    gathered: &mut Gathered,
    cursor: feed::Cursor,
    (namespace, run_id): (i16, RunId),
) -> Result<Progress, Error> {
    let runs = sqlx::query!(
        r#"SELECT e.shard, e.namespace, e.run_id, e.closed_at IS NOT NULL AS "closes!", h.seq AS "seq?", h.hash AS "hash?"
           FROM (
               SELECT x.shard, x.namespace, x.run_id, x.closed_at FROM execution x
               WHERE (x.namespace, x.run_id) > ($1, $2)
               ORDER BY x.namespace, x.run_id
               LIMIT $3
           ) AS e
           LEFT JOIN LATERAL (
               SELECT y.seq, y.hash FROM history y
               WHERE y.shard = e.shard AND y.run_id = e.run_id
               ORDER BY y.seq DESC
               LIMIT 1
           ) AS h ON true
           ORDER BY e.namespace, e.run_id"#,
        namespace,
        run_id.0,
        VISIBILITY_BUILD_PAGE,
    )
    .fetch_all(&mut *connection)
    .await?;
    let Some(last) = runs.last().map(|run| (run.namespace, RunId(run.run_id))) else {
        return Ok(Progress::Reading(cursor));
    };
    for run in runs {
        // A run without history is a finding of the audit, and nothing to be sealed.
        let Some((seq, hash)) = run.seq.zip(run.hash) else {
            continue;
        };
        let hash = hash.try_into().map_err(|_| Error::Corrupt {
            table: "history",
            row: format!("run {} row {seq}", run.run_id),
            problem: "its hash is not of 32 bytes".to_owned(),
        })?;
        let head = Head {
            shard: run.shard,
            seq,
            hash,
            closes: run.closes,
        };
        gathered.add(run.run_id, head);
    }
    let (namespace, run_id) = last;
    Ok(Progress::Building {
        cursor,
        namespace,
        run_id,
    })
}

/// Reads the next page of the feed; returns how far that is, if it is further.
async fn read(
    connection: &mut PgConnection,
    gathered: &mut Gathered,
    mut cursor: feed::Cursor,
) -> Result<Option<Progress>, Error> {
    let Some(page) = feed::after(&mut *connection, &cursor, VISIBILITY_PAGE).await? else {
        tracing::warn!(
            "the sealed log has missed something in the feed; the heads of all runs are sealed again"
        );
        return Ok(Some(Progress::ToBuild));
    };
    gathered.is_all = page.is_last;
    let before = cursor.clone();
    cursor.turn(&page);
    for change in page.batches.iter().flat_map(|batch| &batch.changes) {
        let head = Head {
            shard: change.shard,
            seq: change.seq,
            hash: change.hash,
            closes: change.closes,
        };
        gathered.add(change.run_id.0, head);
    }
    Ok((cursor != before).then_some(Progress::Reading(cursor)))
}

/// Returns the oldest deletions that are not sealed.
async fn tombstones(connection: &mut PgConnection) -> Result<Vec<Entry>, Error> {
    let unsealed = audit::unsealed(connection, SEAL_TOMBSTONES_MAX).await?;
    let entries = unsealed.into_iter().map(|tombstone| Entry {
        shard: 0,
        id: tombstone.id,
        subject: Subject::Tombstone,
        hash: tombstone.digest(),
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_gathered_as_a_row_of_history_that_has_the_number_of_something_else() {
        let mut gathered = Gathered::default();
        for (n, seq) in (0..).zip([-1, -2, -3, i32::MIN, 0, 7]) {
            let head = Head {
                shard: 0,
                seq,
                hash: Hash::default(),
                closes: false,
            };
            gathered.add(Uuid::from_u128(n), head);
        }
        let rows: Vec<i32> = gathered.heads.values().map(|head| head.seq).collect();
        assert_eq!(rows, [0, 7]);
    }
}
