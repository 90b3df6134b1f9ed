//! Sealed histories: the heads of all hash chains in an append-only log whose Merkle root is signed from time to time. Who has an old checkpoint, or the
//! public key, can prove what was committed by then, whoever may write to the database.

mod checkpoint;
mod deleted;
mod entry;
mod note;
mod reader;
mod sealer;
mod signer;
pub(crate) mod tree;
mod watched;

pub use checkpoint::{Checkpoint, NoCheckpoint};
pub(crate) use deleted::{Tombstone, hash_of_runs, hash_of_tiles, hash_of_uuids};
pub use entry::{Entry, Subject};
pub use note::{Malformed, Note, PublicKey, SigningKey};
pub(crate) use reader::{Asked, Hashes};
pub(crate) use sealer::{Trust, keep, trust_others};
pub use signer::{KeyError, Refusal, Signer};
pub(crate) use watched::watch;

use sqlx::PgPool;

use crate::store::{self, feed::consumer};

/// Ends the log and begins another in its place, on record: where the database was restored to an earlier state, or the log was damaged, and is to be sealed
/// on. Returns the first checkpoint of the new one, which names the old one.
///
/// # Errors
/// When the database fails, or what is signed can't be kept beside the key.
pub async fn begin(pool: &PgPool, signer: &Signer) -> Result<Result<Note, Refusal>, store::Error> {
    consumer::begin_sealing(pool).await?;
    store::seal::begin(pool, signer).await
}

/// Has another key sign from now on, on record: signed by the old one, if it is not lost, and the new one. Returns the checkpoint that says so.
///
/// # Errors
/// When the database fails, or its log is not what the old key has signed.
pub async fn rotate(
    pool: &PgPool,
    old: Option<&Signer>,
    new: &Signer,
) -> Result<Result<Note, Refusal>, store::Error> {
    consumer::begin_sealing(pool).await?;
    store::seal::rotate(pool, old, new).await
}
