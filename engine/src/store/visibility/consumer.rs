//! The row of `feed_consumer` of the lists.

use history::RunId;
use sqlx::{PgConnection, PgExecutor};

use crate::store::{Error, feed};

/// How far the lists are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// They are to be made anew.
    ToBuild,
    /// What was there when the cursor was taken is read, up to this run.
    Building {
        cursor: feed::Cursor,
        namespace: i16,
        run_id: RunId,
    },
    /// They have all that is in front of the cursor.
    Reading(feed::Cursor),
}

/// What the row says.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) progress: Progress,
    /// How often the lists were made anew.
    pub(super) builds: i64,
}

/// Returns how often the lists were made anew; `None` while they are.
pub(crate) async fn builds(executor: impl PgExecutor<'_>) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT builds FROM feed_consumer WHERE name = 'visibility' AND epoch IS NOT NULL AND built_namespace IS NULL"
    )
    .fetch_optional(executor)
    .await
}

/// Locks the row, so that nobody else brings the lists forward, and returns what it says.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<Consumer, Error> {
    let row = sqlx::query!(
        "SELECT epoch, mark, epochs, slots, batches, built_namespace, built_run_id, builds
         FROM feed_consumer WHERE name = 'visibility' FOR NO KEY UPDATE"
    )
    .fetch_one(connection)
    .await?;
    let builds = row.builds;
    let Some(epoch) = row.epoch else {
        let progress = Progress::ToBuild;
        return Ok(Consumer { progress, builds });
    };
    let latest = feed::Latest {
        epoch,
        mark: row.mark,
    };
    let slots = row.epochs.into_iter().zip(row.slots);
    let slots = slots.map(|(epoch, n)| feed::Slot { epoch, n });
    let cursor = feed::Cursor::at(latest, slots.zip(row.batches));
    let progress = match row.built_namespace.zip(row.built_run_id) {
        None => Progress::Reading(cursor),
        Some((namespace, run_id)) => Progress::Building {
            cursor,
            namespace,
            run_id: RunId(run_id),
        },
    };
    Ok(Consumer { progress, builds })
}

/// Writes how far they are now.
pub(super) async fn note(connection: &mut PgConnection, progress: &Progress) -> Result<(), Error> {
    let (cursor, built) = match progress {
        Progress::ToBuild => (None, None),
        Progress::Building {
            cursor,
            namespace,
            run_id,
        } => (Some(cursor), Some((*namespace, run_id.0))),
        Progress::Reading(cursor) => (Some(cursor), None),
    };
    let slots = cursor.into_iter().flat_map(feed::Cursor::slots);
    let (slots, batches): (Vec<feed::Slot>, Vec<i64>) = slots.unzip();
    let epochs: Vec<i64> = slots.iter().map(|slot| slot.epoch).collect();
    let slots: Vec<i16> = slots.iter().map(|slot| slot.n).collect();
    sqlx::query!(
        "UPDATE feed_consumer
         SET epoch = $1, epochs = $2, slots = $3, batches = $4, built_namespace = $5, built_run_id = $6, mark = $7
         WHERE name = 'visibility'",
        cursor.map(|cursor| cursor.latest().epoch),
        &epochs,
        &slots,
        &batches,
        built.map(|(namespace, _)| namespace),
        built.map(|(_, run_id)| run_id),
        cursor.map_or(0, |cursor| cursor.latest().mark),
    )
    .execute(connection)
    .await?;
    Ok(())
}
