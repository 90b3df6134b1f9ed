//! Proofs that need no database: that a history is the one that was sealed, and that the log was only appended to between two checkpoints.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::TryStreamExt as _;
use history::{
    Namespace, RunId, Timestamp, WorkflowId,
    chain::{self, GENESIS, Hash},
    record,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tlog_tiles::tlog;

use super::chain::{closes, started};
use crate::{
    seal::{Checkpoint, Entry, Hashes, Note, PublicKey, Subject},
    store::{
        self, Error,
        audit::Key,
        seal::{EntryOfRun, Latest},
    },
};

/// A proof, as a file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Proof {
    /// That a history is the one that was sealed.
    #[serde(rename = "coreason-history")]
    History(HistoryProof),
    /// That the log has only grown between two checkpoints.
    #[serde(rename = "coreason-consistency")]
    Consistency(ConsistencyProof),
}

/// A history, and what proves that it is the one that was sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryProof {
    /// The namespace, which is under the hash of each row.
    pub namespace: String,
    /// The workflow that the run is of, as its first event has it.
    pub workflow_id: String,
    /// The run, which is under the hash of each row.
    pub run_id: RunId,
    /// Its rows, up to the last one that was sealed.
    pub rows: Vec<Row>,
    /// The place of the run's entry in the log, from 0.
    pub entry: u64,
    /// The hashes that lead from it to the root.
    pub inclusion: Vec<String>,
    /// The signed checkpoint that says the root.
    pub checkpoint: String,
    /// The checkpoints by which one key was followed by another.
    pub rotations: Vec<String>,
}

/// A stored row of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The first event id in it.
    pub first_event_id: i64,
    /// The version of its form.
    pub version: i16,
    /// Its records, to the letter.
    pub records: String,
}

/// Two checkpoints, and what proves that all that the first had is in the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsistencyProof {
    /// The earlier one.
    pub from: String,
    /// The later one.
    pub to: String,
    /// The hashes that lead from one root to the other.
    pub consistency: Vec<String>,
    /// The checkpoints by which one key was followed by another.
    pub rotations: Vec<String>,
}

/// What was proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Proved {
    /// By which key.
    pub key: PublicKey,
    /// The checkpoint, or the later one.
    pub checkpoint: Checkpoint,
    /// When the earlier one was made.
    pub since: Option<Timestamp>,
}

/// Why nothing is proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// The file can't be read.
    #[error("the proof can't be read: {0}")]
    Unreadable(&'static str),
    /// Nobody who is trusted has signed it.
    #[error("none of the given keys has signed the checkpoint, nor one that follows them")]
    Stranger,
    /// The history is another one.
    #[error(
        "the history is not the one that was sealed: its hash chain, or its place in the log, does not come out"
    )]
    OtherHistory,
    /// The log has another history of the run as well.
    #[error(
        "the log has another history of this run, too: somebody has written it anew and had it sealed once more, see `coreason audit verify --key`"
    )]
    SealedTwice,
    /// The log was rewritten.
    #[error(
        "the later checkpoint is not of the same log, or of one from which something was removed or changed since the earlier one"
    )]
    Rewritten,
    /// An object of an archive has a run more than once, in the place of another one perhaps.
    #[error("the run {0} has a line before it")]
    Twice(RunId),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// There is no such workflow.
    #[error("there is no such workflow in this database")]
    NoRun,
    /// There is no such checkpoint.
    #[error("there is no such checkpoint")]
    NoCheckpoint,
    /// It was not sealed yet.
    #[error("the run is not sealed yet: that is done once a minute, where a key is given")]
    NotSealed,
    /// What is there does not prove it.
    #[error(transparent)]
    NotProved(#[from] NotProved),
}

impl NoProof {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::NoRun => "WORKFLOW_NOT_FOUND",
            Self::NoCheckpoint => "CHECKPOINT_NOT_FOUND",
            Self::NotSealed => "NOT_SEALED",
            Self::NotProved(_) => "NOT_PROVED",
        }
    }
}

impl Proof {
    /// Reads a file; nothing if it is of another kind.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Says what is proved, to those who trust these keys.
    ///
    /// # Errors
    /// When nothing is.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Proved, NotProved> {
        match self {
            Self::History(proof) => proof.verify(keys),
            Self::Consistency(proof) => proof.verify(keys),
        }
    }
}

impl HistoryProof {
    fn verify(&self, keys: &[PublicKey]) -> Result<Proved, NotProved> {
        let keys = with_rotations(keys, &self.rotations);
        let (key, checkpoint) = signed(&self.checkpoint, &keys)?;
        self.comes_out(&checkpoint)?;
        Ok(Proved {
            key,
            checkpoint,
            since: None,
        })
    }

    /// Returns the hash of each row.
    fn heads(&self) -> Vec<Hash> {
        let mut head = GENESIS;
        let heads = (0..).zip(&self.rows).map(|(seq, row)| {
            let row = chain::Row {
                version: row.version,
                namespace: &self.namespace,
                run_id: self.run_id.0,
                seq,
                first_event_id: row.first_event_id,
                records: &row.records,
            };
            head = chain::hash(&head, row);
            head
        });
        heads.collect()
    }

    /// Checks the chain, and its place in the log of a checkpoint.
    fn comes_out(&self, checkpoint: &Checkpoint) -> Result<(), NotProved> {
        // Nothing but its first event says under a hash which workflow the run is of.
        let first = self.rows.first();
        let first = first.and_then(|row| record::read(row.version, &row.records).ok());
        let first = first.as_ref().and_then(|records| records.first());
        let is_of_workflow = first
            .and_then(started)
            .is_some_and(|started| started.workflow_id.as_str() == self.workflow_id);
        let head = self.heads().pop().unwrap_or(GENESIS);
        let seq = i32::try_from(self.rows.len()).unwrap_or(i32::MAX) - 1;
        let last = self.rows.last();
        let last = last.and_then(|row| record::read(row.version, &row.records).ok());
        let closes = last.is_some_and(|records| records.iter().any(closes));
        let (Ok(namespace), Ok(workflow_id)) = (
            Namespace::new(&self.namespace),
            WorkflowId::new(&self.workflow_id),
        ) else {
            return Err(NotProved::OtherHistory);
        };
        let entry = Entry {
            shard: crate::shard::of(&namespace, &workflow_id),
            id: self.run_id.0,
            subject: Subject::History { seq, closes },
            hash: head,
        };
        let path = hashes(&self.inclusion)?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        let is_in = is_of_workflow
            && self.entry < size
            && tlog::check_record(&path, size, root, self.entry, entry.leaf()).is_ok();
        if is_in {
            Ok(())
        } else {
            Err(NotProved::OtherHistory)
        }
    }
}

impl ConsistencyProof {
    fn verify(&self, keys: &[PublicKey]) -> Result<Proved, NotProved> {
        let keys = with_rotations(keys, &self.rotations);
        let (_, from) = signed(&self.from, &keys)?;
        let (key, to) = signed(&self.to, &keys)?;
        self.comes_out(&from, &to)?;
        Ok(Proved {
            key,
            checkpoint: to,
            since: Some(from.at),
        })
    }

    /// Checks that the log has only grown.
    fn comes_out(&self, from: &Checkpoint, to: &Checkpoint) -> Result<(), NotProved> {
        let path = hashes(&self.consistency)?;
        let is_same = from.log == to.log && from.at <= to.at;
        // From nothing a log can only grow.
        let has_grown = if from.size == 0 {
            path.is_empty()
        } else {
            from.size <= to.size
                && tlog::check_tree(&path, to.size, to.root, from.size, from.root).is_ok()
        };
        if is_same && has_grown {
            Ok(())
        } else {
            Err(NotProved::Rewritten)
        }
    }
}

/// Returns the keys that are trusted, and those that follow them.
fn with_rotations(keys: &[PublicKey], rotations: &[String]) -> Vec<PublicKey> {
    let mut keys = keys.to_vec();
    for rotation in rotations {
        if let Ok((_, checkpoint)) = signed(rotation, &keys) {
            keys.extend(checkpoint.next_key);
        }
    }
    keys
}

fn signed(note: &str, keys: &[PublicKey]) -> Result<(PublicKey, Checkpoint), NotProved> {
    let unreadable = NotProved::Unreadable("a checkpoint is none");
    let note: Note = note.parse().map_err(|_| unreadable.clone())?;
    let (text, key) = note.verify(keys).ok_or(NotProved::Stranger)?;
    let checkpoint = Checkpoint::read(text).map_err(|_| unreadable)?;
    Ok((key.clone(), checkpoint))
}

fn hashes(texts: &[String]) -> Result<Vec<tlog::Hash>, NotProved> {
    let read = |text: &String| {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        Some(tlog::Hash(Hash::try_from(bytes).ok()?))
    };
    let hashes: Option<Vec<_>> = texts.iter().map(read).collect();
    hashes.ok_or(NotProved::Unreadable("a hash is none"))
}

/// Writes hashes as a proof has them.
fn texts(hashes: &[tlog::Hash]) -> Vec<String> {
    hashes
        .iter()
        .map(|hash| BASE64_STANDARD.encode(hash.0))
        .collect()
}

/// Returns the n-th checkpoint, from 0, or the latest.
///
/// # Errors
/// When there is none.
pub async fn checkpoint(pool: &PgPool, n: Option<i64>) -> Result<Note, NoProof> {
    Ok(nth(pool, n).await?.note)
}

/// Proves that the history of a workflow is the one that was sealed: of its latest run, or this one.
///
/// # Errors
/// When there is none, it is not sealed, or it is not the one that was sealed.
pub async fn prove(
    pool: &PgPool,
    namespace: &Namespace,
    workflow_id: &WorkflowId,
    run_id: Option<RunId>,
) -> Result<Proof, NoProof> {
    let shard = crate::shard::of(namespace, workflow_id);
    let run_id = store::seal::run_of(pool, shard, namespace, workflow_id, run_id)
        .await?
        .ok_or(NoProof::NoRun)?;
    let latest = store::seal::latest(pool, i64::MAX).await?;
    let latest = latest.ok_or(NoProof::NotSealed)?;
    let size = latest.checkpoint.size;
    let entries = store::seal::entries_of(pool, run_id, size).await?;
    let Some(&EntryOfRun { place, seq, .. }) = entries.first() else {
        return Err(NoProof::NotSealed);
    };
    let key = Key {
        shard,
        run_id: run_id.0,
    };
    let inclusion = path(pool, |reader| tlog::prove_record(size, place, reader)).await?;
    let sealed = SealedRun {
        key,
        workflow_id: workflow_id.to_string(),
        seq,
        entry: place,
    };
    let log = ProvedBy {
        namespace: namespace.to_string(),
        rotations: store::seal::rotations(pool, latest.n).await?,
        latest,
    };
    let proof = log.prove(pool, sealed, &inclusion).await?;
    let heads = proof.heads();
    let is_on_chain = |entry: &EntryOfRun| {
        let at = usize::try_from(entry.seq).unwrap_or(usize::MAX);
        let head = heads.get(at).map(Hash::as_slice);
        // None follows the row that closes it.
        head == Some(entry.hash.as_slice()) && (!entry.closes || entry.seq == seq)
    };
    if entries.iter().all(is_on_chain) {
        Ok(Proof::History(proof))
    } else {
        Err(NotProved::SealedTwice.into())
    }
}

/// A run that is sealed, as far as its row `seq`, by an entry.
#[derive(Debug)]
pub(crate) struct SealedRun {
    pub(crate) key: Key,
    pub(crate) workflow_id: String,
    pub(crate) seq: i32,
    pub(crate) entry: u64,
}

/// By what the histories of a namespace are proved.
#[derive(Debug)]
pub(crate) struct ProvedBy {
    pub(crate) namespace: String,
    pub(crate) latest: Latest,
    pub(crate) rotations: Vec<String>,
}

impl ProvedBy {
    /// Makes the proof of a run, which comes out: whoever is given it can rely on it.
    pub(crate) async fn prove(
        &self,
        pool: &PgPool,
        run: SealedRun,
        inclusion: &[tlog::Hash],
    ) -> Result<HistoryProof, NoProof> {
        let rows = store::audit::rows_of(pool, run.key, 0..=run.seq).map_ok(|row| Row {
            first_event_id: row.first_event_id,
            version: row.version,
            records: row.records,
        });
        let proof = HistoryProof {
            namespace: self.namespace.clone(),
            workflow_id: run.workflow_id,
            run_id: RunId(run.key.run_id),
            rows: rows.try_collect().await?,
            entry: run.entry,
            inclusion: texts(inclusion),
            checkpoint: self.latest.note.to_string(),
            rotations: self.rotations.clone(),
        };
        proof.comes_out(&self.latest.checkpoint)?;
        Ok(proof)
    }
}

/// Proves that the log has only grown between two checkpoints: the n-th, from 0, and a later one, or the latest.
///
/// # Errors
/// When there are no such checkpoints, or the log has not only grown.
pub async fn prove_consistency(
    pool: &PgPool,
    from: i64,
    to: Option<i64>,
) -> Result<Proof, NoProof> {
    let from = nth(pool, Some(from)).await?;
    let to = nth(pool, to).await?;
    let (old, new) = (from.checkpoint.size, to.checkpoint.size);
    let consistency = if (1..=new).contains(&old) {
        path(pool, |reader| tlog::prove_tree(new, old, reader)).await?
    } else {
        Vec::new()
    };
    let proof = ConsistencyProof {
        from: from.note.to_string(),
        to: to.note.to_string(),
        consistency: texts(&consistency),
        rotations: store::seal::rotations(pool, to.n).await?,
    };
    proof.comes_out(&from.checkpoint, &to.checkpoint)?;
    Ok(Proof::Consistency(proof))
}

async fn nth(pool: &PgPool, n: Option<i64>) -> Result<Latest, NoProof> {
    let found = store::seal::latest(pool, n.unwrap_or(i64::MAX)).await?;
    found
        .filter(|found| n.is_none_or(|n| n == found.n))
        .ok_or(NoProof::NoCheckpoint)
}

/// Has a proof made of the hashes in the database.
async fn path(
    pool: &PgPool,
    proof: impl Fn(&Hashes) -> Result<Vec<tlog::Hash>, tlog::Error>,
) -> Result<Vec<tlog::Hash>, Error> {
    let mut connection = pool.acquire().await?;
    let proof = store::seal::proof(&mut connection, proof).await?;
    Ok(proof.unwrap_or_default())
}
