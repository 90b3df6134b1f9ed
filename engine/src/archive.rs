//! Where the histories of runs go that are kept no longer: each with the proof that it is the one that was sealed, before it is deleted.

use std::fmt;

use futures::future::BoxFuture;
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
        seal::Latest,
    },
};

/// Keeps objects under names, for good.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Writes an object, whole or not at all; returns when it will not be lost any more, and under which name it is found: as it was given, or more.
    fn put(&self, name: String, object: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>>;
}

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
#[error("the archive does not take {name}: {problem}")]
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
    /// What is due is not sealed.
    #[error(
        "they are not archived, because they are not sealed; the log says why, or what was sealed is not what is there"
    )]
    NotSealed,
    /// A run can't be written.
    #[error("a run can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A line of an object: the proof of a run, as `coreason audit verify --offline` reads it, and its row of `execution`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    proof: Proof,
    execution: &'a serde_json::value::RawValue,
}

/// Archives some of the closed runs that a namespace keeps no longer and that are sealed, those first that closed first, and deletes them. Says whether there
/// may be more.
pub(crate) async fn expire(
    pool: &PgPool,
    archive: &dyn Archive,
    namespace: i16,
) -> Result<bool, Error> {
    let Some(_one) = store::archive::one_at_a_time(pool).await? else {
        return Ok(false);
    };
    let due = store::archive::due(pool, namespace, ARCHIVED_AT_ONCE).await?;
    let Some(first) = due.runs.first() else {
        return Ok(false);
    };
    let object = match store::seal::latest(pool, i64::MAX).await? {
        Some(latest) => object(pool, latest, &due).await?,
        None => Object::default(),
    };
    if object.run_ids.is_empty() {
        return if first.is_late {
            Err(Error::NotSealed)
        } else {
            Ok(false)
        };
    }
    let name = format!("{}/{}/{}.jsonl", due.namespace, due.day, Uuid::now_v7());
    let name = archive.put(name, object.lines).await?;
    let deleted =
        store::retention::expire_archived(pool, namespace, &object.run_ids, &name).await?;
    // Where nothing could be deleted it is tried again after a while, not at once.
    Ok(deleted && (due.is_full || object.is_cut))
}

/// What goes to the archive at once.
#[derive(Default)]
struct Object {
    lines: Vec<u8>,
    run_ids: Vec<Uuid>,
    /// There was no room for the others.
    is_cut: bool,
}

/// Writes those of the runs that are sealed, each as a line.
async fn object(pool: &PgPool, latest: Latest, due: &DueRuns) -> Result<Object, Error> {
    let size = latest.checkpoint.size;
    let places = store::seal::places(pool, &due.run_ids(), size).await?;
    let sealed: Vec<(&Due, u64)> = (due.runs.iter())
        .filter_map(|run| Some((run, *places.get(&(run.run_id, run.last_seq))?)))
        .collect();
    let entries: Vec<u64> = sealed.iter().map(|(_, place)| *place).collect();
    let mut connection = pool.acquire().await.map_err(store::Error::from)?;
    let inclusions = store::seal::inclusions(&mut connection, size, &entries).await?;
    drop(connection);
    let log = ProvedBy {
        namespace: due.namespace.clone(),
        rotations: store::seal::rotations(pool, latest.n, i64::MAX).await?,
        latest,
    };
    let mut object = Object::default();
    for ((run, entry), inclusion) in sealed.into_iter().zip(inclusions) {
        let of_run = SealedRun {
            key: Key {
                shard: run.shard,
                run_id: run.run_id,
            },
            workflow_id: run.workflow_id.clone(),
            seq: run.last_seq,
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
        if object.lines.len() >= ARCHIVED_BYTES_AT_ONCE {
            object.is_cut = true;
            break;
        }
    }
    Ok(object)
}
