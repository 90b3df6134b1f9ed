//! Ends the sealed log and begins another in its place, on record.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{log, turn::is_followed};
use crate::{
    seal::{Checkpoint, Note, Refusal, Signer, tree::Edge},
    store::{
        Error, clock,
        feed::consumer::{self, Name, Progress},
    },
};

/// Begins a log with all runs that are there, and all that is said of deletions, in the place of the one that is: its entries and checkpoints go, whatever
/// was done to them. The first checkpoint of the new one names it, and its last checkpoint.
pub(crate) async fn begin(pool: &PgPool, signer: &Signer) -> Result<Result<Note, Refusal>, Error> {
    let mut transaction = pool.begin().await?;
    consumer::lock(&mut transaction, Name::Seal).await?;
    if is_followed(&mut transaction, signer).await? {
        return Ok(Err(Refusal::Followed));
    }
    let known = undamaged(log::log_id(&mut *transaction).await)?;
    let latest = undamaged(log::latest(&mut *transaction, i64::MAX).await)?.flatten();
    // It was begun just now: who would be begun in its place has replaced nothing.
    if let Some(latest) = &latest
        && latest.checkpoint.size == 0
        && latest.checkpoint.replaces.is_some()
        && latest.note.verify(&[signer.public()]).is_some()
    {
        return Ok(Ok(latest.note.clone()));
    }
    // What the key remembers is right where the database was changed, or is an earlier state.
    let last = signer
        .remembered()
        .or_else(|| latest.map(|latest| latest.checkpoint));
    let log = Uuid::new_v4();
    replace(&mut transaction, log).await?;
    consumer::note(&mut transaction, Name::Seal, &Progress::ToBuild).await?;
    let edge = Edge::default();
    let checkpoint = Checkpoint {
        log,
        size: edge.size(),
        root: edge.root(),
        replaces: last.as_ref().map(|last| last.log).or(known),
        previous: last.map(|last| last.hash()),
        at: clock::now(&mut *transaction).await?,
        complete_until: None,
        has_gap: true,
        next_key: None,
    };
    let note = Signer::sign(&[signer], &checkpoint);
    log::write(&mut transaction, 0, &checkpoint, &note).await?;
    transaction.commit().await?;
    signer.remember(&note)?;
    Ok(Ok(note))
}

fn undamaged<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_of_damage() => Ok(None),
        read => read.map(Some),
    }
}

/// Takes away what the tables have of a log, and names another.
async fn replace(connection: &mut PgConnection, log: Uuid) -> Result<(), Error> {
    sqlx::query!("DELETE FROM seal_tile")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM seal_node")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM seal_pruned")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM checkpoint")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("UPDATE tombstone SET leaf = NULL WHERE leaf IS NOT NULL")
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO seal (log) VALUES ($1)
         ON CONFLICT (id) DO UPDATE SET log = excluded.log, prune_from = excluded.prune_from, forget = excluded.forget",
        log
    )
    .execute(connection)
    .await?;
    Ok(())
}
