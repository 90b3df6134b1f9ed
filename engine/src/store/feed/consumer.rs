//! The rows of `feed_consumer`: how far those are that make something from the feed.

use history::RunId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Cursor, Latest, Slot, read};
use crate::store::Error;

/// How far one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// What it makes is to be made anew.
    ToBuild,
    /// What was there when the cursor was taken is read, up to this run.
    Building {
        cursor: Cursor,
        namespace: i16,
        run_id: RunId,
    },
    /// It has all that is in front of the cursor.
    Reading(Cursor),
}

/// What its row says.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) progress: Progress,
    /// How often all was made anew; of a log that was stopped and goes on it is one more.
    pub(crate) builds: i64,
}

/// What makes something from the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Lists of runs, and counters.
    Visibility,
    /// The sealed log.
    Seal,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Visibility => "visibility",
            Self::Seal => "seal",
        }
    }
}

/// Has the feed keep what the sealed log has not read.
pub(crate) async fn begin_sealing(pool: &PgPool) -> Result<(), Error> {
    let is_there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM feed_consumer WHERE name = 'seal') AS "is_there!""#
    );
    if is_there.fetch_one(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    // Whoever deletes runs has this row to the end, and says of which runs they were if there is a log: what is deleted without that is gone before the
    // first run is read for the log.
    lock(&mut transaction, Name::Visibility).await?;
    // A log that was begun before, and stopped, has missed what was committed since.
    sqlx::query!(
        "INSERT INTO feed_consumer (name, builds)
         SELECT 'seal', CASE WHEN EXISTS (SELECT FROM checkpoint) THEN 1 ELSE 0 END
         ON CONFLICT DO NOTHING"
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Locks its row, so that nobody else brings it forward, and returns what it says.
pub(crate) async fn lock(connection: &mut PgConnection, name: Name) -> Result<Consumer, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT epoch, mark, epochs, slots, batches, built_namespace, built_run_id, builds
         FROM feed_consumer WHERE name = $1 FOR NO KEY UPDATE",
        name.text(),
    )
    .fetch_one(connection)
    .await?;
    Ok(row.read())
}

/// Returns how far it is, if it is there, and waits for nobody.
pub(crate) async fn look(
    connection: &mut PgConnection,
    name: Name,
) -> Result<Option<Progress>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT epoch, mark, epochs, slots, batches, built_namespace, built_run_id, builds
         FROM feed_consumer WHERE name = $1",
        name.text(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.read().progress))
}

struct Row {
    epoch: Option<i64>,
    mark: i64,
    epochs: Vec<i64>,
    slots: Vec<i16>,
    batches: Vec<i64>,
    built_namespace: Option<i16>,
    built_run_id: Option<Uuid>,
    builds: i64,
}

impl Row {
    fn read(self) -> Consumer {
        let builds = self.builds;
        let Some(epoch) = self.epoch else {
            let progress = Progress::ToBuild;
            return Consumer { progress, builds };
        };
        let latest = Latest {
            epoch,
            mark: self.mark,
        };
        let slots = self.epochs.into_iter().zip(self.slots);
        let slots = slots.map(|(epoch, n)| Slot { epoch, n });
        let cursor = Cursor::at(latest, slots.zip(self.batches));
        let progress = match self.built_namespace.zip(self.built_run_id) {
            None => Progress::Reading(cursor),
            Some((namespace, run_id)) => Progress::Building {
                cursor,
                namespace,
                run_id: RunId(run_id),
            },
        };
        Consumer { progress, builds }
    }
}

/// Notes that all is made anew; returns how far that is: what is committed from now on is in the feed behind its end, what was before is to be read.
pub(crate) async fn begin_building(
    connection: &mut PgConnection,
    name: Name,
) -> Result<Progress, Error> {
    sqlx::query!(
        "UPDATE feed_consumer SET builds = builds + 1 WHERE name = $1",
        name.text()
    )
    .execute(&mut *connection)
    .await?;
    Ok(Progress::Building {
        cursor: read::end(connection).await?,
        namespace: 0,
        run_id: RunId(Uuid::nil()),
    })
}

/// Writes how far it is now.
pub(crate) async fn note(
    connection: &mut PgConnection,
    name: Name,
    progress: &Progress,
) -> Result<(), Error> {
    let (cursor, built) = match progress {
        Progress::ToBuild => (None, None),
        Progress::Building {
            cursor,
            namespace,
            run_id,
        } => (Some(cursor), Some((*namespace, run_id.0))),
        Progress::Reading(cursor) => (Some(cursor), None),
    };
    let slots = cursor.into_iter().flat_map(Cursor::slots);
    let (slots, batches): (Vec<Slot>, Vec<i64>) = slots.unzip();
    let epochs: Vec<i64> = slots.iter().map(|slot| slot.epoch).collect();
    let slots: Vec<i16> = slots.iter().map(|slot| slot.n).collect();
    sqlx::query!(
        "UPDATE feed_consumer
         SET epoch = $1, epochs = $2, slots = $3, batches = $4, built_namespace = $5, built_run_id = $6, mark = $7
         WHERE name = $8",
        cursor.map(|cursor| cursor.latest().epoch),
        &epochs,
        &slots,
        &batches,
        built.map(|(namespace, _)| namespace),
        built.map(|(_, run_id)| run_id),
        cursor.map_or(0, |cursor| cursor.latest().mark),
        name.text(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
