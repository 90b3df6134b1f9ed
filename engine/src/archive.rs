//! Where the histories of runs go that are kept no longer: each with the proof that it is the one that was sealed, before it is deleted.

use std::fmt;

use futures::future::BoxFuture;
use history::Timestamp;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    audit::{NoProof, Proof, ProvedBy, SealedRun},
    limits::{ARCHIVED_AT_ONCE, ARCHIVED_BYTES_AT_ONCE},
    store::{
        self,
        archive::{Due, DueRuns},
        audit::Key,
        retention::After,
        seal::{CLOCKS_DIFFER, Latest, Places},
    },
};

/// Keeps objects under names, for good.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Returns the name that was written in it when it was begun; `None` where none was, an error where it can't be reached.
    fn name(&self) -> BoxFuture<'_, Result<Option<Uuid>, PutError>>;

    /// Begins it: writes its name in it, for good.
    fn begin(&self, name: Uuid) -> BoxFuture<'_, Result<(), PutError>>;

    /// Writes an object, whole or not at all; returns when it will not be lost any more, and under which name it is found: as it was given, or more.
    fn put(&self, name: String, object: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>>;
}

/// Why an object was not written, or not read.
#[derive(Debug, thiserror::Error)]
#[error("the archive does not take or give {name}: {problem}")]
pub struct PutError {
    /// The object's name.
    pub name: String,
    /// Why.
    pub problem: String,
}

/// Why runs were not archived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The archive failed.
    #[error(transparent)]
    Put(#[from] PutError),
    /// What was archived before is not there.
    #[error(
        "nothing is in the archive, and this database has archived to {0}: see whether its disk is mounted; if another one is to be begun, UPDATE cluster SET archive = NULL"
    )]
    Empty(Uuid),
    /// It is another archive.
    #[error(
        "this is the archive {found}, and this database archives to {known}: all its processes need the same one; if this one is to follow, UPDATE cluster SET archive = NULL"
    )]
    Other {
        /// What was found.
        found: Uuid,
        /// What was looked for.
        known: Uuid,
    },
    /// A run can't be written.
    #[error("a run can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Put(_) | Self::Empty(_) | Self::Other { .. } | Self::Json(_) => "ARCHIVE_FAILED",
        }
    }
}

/// A line of an object: the proof of a run, as `coreason audit verify --offline` reads it, and its row of `execution`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    proof: Proof,
    execution: &'a serde_json::value::RawValue,
}

/// Archives some of the closed runs that a namespace keeps no longer and that are sealed, those first that closed first behind a place, which goes on, and
/// deletes them. Says whether there may be more.
pub(crate) async fn expire(
    pool: &PgPool,
    archive: &dyn Archive,
    namespace: i16,
    now: Timestamp,
    after: &mut After,
) -> Result<bool, Error> {
    let Some(one) = store::archive::one_at_a_time(pool).await? else {
        return Ok(false);
    };
    // Said when this process began; who has said otherwise since, has others delete what is not archived.
    if store::retention::begin_archive(pool).await? {
        tracing::warn!(
            "`cluster` said that this database has no archive, while this process has one; it says so again"
        );
    }
    let expired = expire_next(pool, archive, namespace, now, after).await;
    // Where it is only dropped, the next turn may find it still held. Where it was held for too long it is gone by now, and what was done is done.
    drop(one.rollback().await);
    expired
}

async fn expire_next(
    pool: &PgPool,
    archive: &dyn Archive,
    namespace: i16,
    now: Timestamp,
    after: &mut After,
) -> Result<bool, Error> {
    let due = store::archive::due(
        pool,
        namespace,
        now,
        *after,
        ARCHIVED_AT_ONCE,
        ARCHIVED_BYTES_AT_ONCE,
    )
    .await?;
    // What can't be archived keeps nothing behind it from being so; it is looked at again from the front.
    *after = due.next.unwrap_or_default();
    let Some(first) = due.runs.first() else {
        return Ok(false);
    };
    let latest = store::seal::latest(pool, i64::MAX).await?;
    let sealed_until = latest.as_ref().and_then(|it| it.checkpoint.complete_until);
    let is_behind = |until: Timestamp| first.closed_at.0 < until.0 + CLOCKS_DIFFER;
    let object = match latest {
        Some(latest) if sealed_until.is_none_or(is_behind) => object(pool, latest, &due).await?,
        // Nor is what comes behind it: where sealing has stopped this is not said of each.
        _ => {
            say_late(&due, &Object::default());
            *after = After::default();
            return Ok(false);
        }
    };
    say_late(&due, &object);
    if object.run_ids.is_empty() {
        return Ok(due.next.is_some());
    }
    // Any text may be the name of a namespace; what follows it is unlike any other.
    let namespace_part: String = (due.namespace.chars().take(100))
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let name = format!("{namespace_part}/{}/{}.jsonl", due.day, Uuid::now_v7());
    know(pool, archive).await?;
    let name = archive.put(name, object.lines).await?;
    // It may have gone to what was under a disk that was taken away meanwhile.
    know(pool, archive).await?;
    let deleted =
        store::retention::expire_archived(pool, namespace, now, &object.run_ids, &name).await?;
    // Where nothing could be deleted it is tried again after a while, not at once.
    Ok(deleted && due.next.is_some())
}

/// Sees to it that this is the archive that has what was archived before: each time, for a disk may be away.
async fn know(pool: &PgPool, archive: &dyn Archive) -> Result<(), Error> {
    let known = store::archive::name(pool).await?;
    let found = archive.name().await?;
    match (known, found) {
        (Some(known), Some(found)) if known == found => Ok(()),
        (Some(known), Some(found)) => Err(Error::Other { found, known }),
        (Some(known), None) => Err(Error::Empty(known)),
        (None, Some(found)) => Ok(store::archive::set_name(pool, found).await?),
        (None, None) => {
            let name = Uuid::new_v4();
            archive.begin(name).await?;
            Ok(store::archive::set_name(pool, name).await?)
        }
    }
}

/// Says what has been due for a while and is not in an object.
fn say_late(due: &DueRuns, object: &Object) {
    let is_left = |run: &&Due| run.is_late && !object.run_ids.contains(&run.run_id);
    if let Some(first) = due.runs.iter().find(is_left) {
        tracing::error!(
            code = "NOT_SEALED",
            namespace = due.namespace,
            run_id = %first.run_id,
            runs = due.runs.iter().filter(is_left).count(),
            "runs are kept for longer than their namespace wants it, and not archived: they are not sealed, or not as they are there"
        );
    }
}

/// What goes to the archive at once.
#[derive(Default)]
struct Object {
    lines: Vec<u8>,
    run_ids: Vec<Uuid>,
}

/// Returns where the entries of these runs are.
async fn places(pool: &PgPool, due: &DueRuns, size: u64) -> Result<Places, Error> {
    let run_ids = |runs: &[&Due]| -> Vec<Uuid> { runs.iter().map(|run| run.run_id).collect() };
    let (Some(first), Some(last)) = (due.runs.first(), due.runs.last()) else {
        return Ok(Places::new());
    };
    let all: Vec<&Due> = due.runs.iter().collect();
    let closed = first.closed_at..=last.closed_at;
    let mut places = store::seal::places_by_close(pool, &run_ids(&all), closed, size).await?;
    let is_found = |run: &&Due| {
        let seq = run.last_seq;
        seq.is_some_and(|seq| places.contains_key(&(run.run_id, seq)))
    };
    let others: Vec<&Due> = all.into_iter().filter(|run| !is_found(run)).collect();
    if !others.is_empty() {
        places.extend(store::seal::places(pool, &run_ids(&others), size).await?);
    }
    Ok(places)
}

/// Writes those of the runs that are sealed, each as a line.
async fn object(pool: &PgPool, latest: Latest, due: &DueRuns) -> Result<Object, Error> {
    let size = latest.checkpoint.size;
    let places = places(pool, due, size).await?;
    let sealed = due.runs.iter().filter_map(|run| {
        let last_seq = run.last_seq?;
        let entry = *places.get(&(run.run_id, last_seq))?;
        Some((run, last_seq, entry))
    });
    let sealed: Vec<(&Due, i32, u64)> = sealed.collect();
    let entries: Vec<u64> = sealed.iter().map(|(_, _, entry)| *entry).collect();
    let mut connection = pool.acquire().await.map_err(store::Error::from)?;
    let inclusions = store::seal::inclusions(&mut connection, size, &entries).await?;
    drop(connection);
    let log = ProvedBy {
        namespace: due.namespace.clone(),
        rotations: store::seal::rotations(pool, latest.n).await?,
        latest,
    };
    let mut object = Object::default();
    for ((run, seq, entry), inclusion) in sealed.into_iter().zip(inclusions) {
        let Some(inclusion) = inclusion else {
            continue;
        };
        let of_run = SealedRun {
            key: Key {
                shard: run.shard,
                run_id: run.run_id,
            },
            workflow_id: run.workflow_id.clone(),
            seq,
            entry,
        };
        let proof = match log.prove(pool, of_run, &inclusion).await {
            Ok(proof) => proof,
            Err(NoProof::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    run_id = %run.run_id,
                    error = &error as &dyn std::error::Error,
                    "a run is kept for longer than its namespace wants it: what would be archived is not what was sealed"
                );
                continue;
            }
        };
        let line = Line {
            proof: Proof::History(proof),
            execution: &run.execution,
        };
        serde_json::to_writer(&mut object.lines, &line)?;
        object.lines.push(b'\n');
        object.run_ids.push(run.run_id);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt as _;

    use super::*;
    use crate::store::{database, session::Pool};

    /// An archive that has nothing but its name.
    #[derive(Debug, Default)]
    struct Named(Mutex<Option<Uuid>>);

    impl Archive for Named {
        fn name(&self) -> BoxFuture<'_, Result<Option<Uuid>, PutError>> {
            let name = *self.0.lock().unwrap();
            async move { Ok(name) }.boxed()
        }

        fn begin(&self, name: Uuid) -> BoxFuture<'_, Result<(), PutError>> {
            *self.0.lock().unwrap() = Some(name);
            async { Ok(()) }.boxed()
        }

        fn put(&self, name: String, _: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>> {
            async { Ok(name) }.boxed()
        }
    }

    #[tokio::test]
    async fn an_archive_that_is_another_one_or_is_away_gets_nothing() {
        let pool = database::fresh().await.pool(Pool::Whole);
        let archive = Named::default();
        know(&pool, &archive).await.unwrap();
        know(&pool, &archive).await.unwrap();
        let name = archive.0.lock().unwrap().unwrap();

        let other = Named(Mutex::new(Some(Uuid::nil())));
        let error = know(&pool, &other).await.unwrap_err();
        assert!(
            matches!(error, Error::Other { found, known } if found.is_nil() && known == name),
            "{error}"
        );
        // As where the disk that it is on is not mounted.
        let error = know(&pool, &Named::default()).await.unwrap_err();
        assert!(
            matches!(error, Error::Empty(known) if known == name),
            "{error}"
        );
        assert_eq!(error.code(), "ARCHIVE_FAILED");

        // Who says that another one is to follow gets that.
        database::forget_archive(&pool).await;
        know(&pool, &other).await.unwrap();
        know(&pool, &archive).await.unwrap_err();
    }
}
