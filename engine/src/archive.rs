//! Where the histories of runs go that are kept no longer: each with the proof that it is the one that was sealed, before it is deleted.

use std::fmt;

use futures::future::BoxFuture;
use history::RunId;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    audit::{HistoryProof, Row, texts},
    limits::{ARCHIVED_AT_ONCE, ARCHIVED_BYTES_AT_ONCE},
    store::{self, archive::Due, audit::Key},
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
    kind: &'static str,
    #[serde(flatten)]
    proof: &'a HistoryProof,
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
    let Some(latest) = store::seal::latest(pool, i64::MAX).await? else {
        return match due.runs.first() {
            Some(run) if run.is_late => Err(Error::NotSealed),
            _ => Ok(false),
        };
    };
    let size = latest.checkpoint.size;
    let places = store::seal::places(pool, &due.run_ids(), size).await?;
    let rotations = store::seal::rotations(pool, latest.n, i64::MAX).await?;
    let sealed: Vec<(&Due, u64)> = (due.runs.iter())
        .filter_map(|run| Some((run, *places.get(&(run.run_id, run.last_seq))?)))
        .collect();
    let mut object = Vec::new();
    let mut archived = Vec::new();
    let mut is_cut = false;
    let entries: Vec<u64> = sealed.iter().map(|(_, place)| *place).collect();
    let mut connection = pool.acquire().await.map_err(store::Error::from)?;
    let proofs = store::seal::inclusions(&mut connection, size, &entries).await?;
    drop(connection);
    for ((run, entry), inclusion) in sealed.into_iter().zip(proofs) {
        let key = Key {
            shard: run.shard,
            run_id: run.run_id,
        };
        let rows = store::archive::rows(pool, key).await?;
        let proof = HistoryProof {
            namespace: due.namespace.clone(),
            workflow_id: run.workflow_id.clone(),
            run_id: RunId(run.run_id),
            rows: (rows.into_iter())
                .map(|row| Row {
                    first_event_id: row.first_event_id,
                    version: row.version,
                    records: row.records,
                })
                .collect(),
            entry,
            inclusion: texts(&inclusion),
            checkpoint: latest.note.to_string(),
            rotations: rotations.clone(),
        };
        if let Err(error) = proof.comes_out(&latest.checkpoint) {
            tracing::error!(
                run_id = %run.run_id,
                error = &error as &dyn std::error::Error,
                "a run is kept for longer than its namespace wants it: what would be archived is not what was sealed"
            );
            continue;
        }
        let line = Line {
            kind: "coreason-history",
            proof: &proof,
            execution: &run.execution,
        };
        serde_json::to_writer(&mut object, &line)?;
        object.push(b'\n');
        archived.push(run.run_id);
        if object.len() >= ARCHIVED_BYTES_AT_ONCE {
            is_cut = true;
            break;
        }
    }
    if archived.is_empty() {
        // A minute is what sealing takes.
        return match due.runs.first() {
            Some(run) if run.is_late => Err(Error::NotSealed),
            _ => Ok(false),
        };
    }
    let name = format!("{}/{}/{}.jsonl", due.namespace, due.day, Uuid::now_v7());
    let name = archive.put(name, object).await?;
    let deleted = store::retention::expire_archived(pool, namespace, &archived, &name).await?;
    // Where nothing could be deleted it is tried again after a while, not at once.
    Ok(deleted && (due.is_full || is_cut))
}
