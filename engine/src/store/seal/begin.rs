//! Ends the sealed log and begins another in its place, on record.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::log;
use crate::{
    seal::{Checkpoint, Note, Signer, tree::Edge},
    store::{
        Error, clock,
        feed::consumer::{self, Name, Progress},
    },
};

/// What is known of the log that ends.
#[derive(Debug, Default)]
struct Ended {
    log: Option<Uuid>,
    last: Option<Checkpoint>,
}

/// Begins a log with all runs that are there, and all that is said of deletions, in the place of the one that is: its entries and checkpoints go, whatever
/// was done to them. The first checkpoint of the new one names it, and its last checkpoint.
pub(crate) async fn begin(pool: &PgPool, signer: &Signer) -> Result<Note, Error> {
    let mut transaction = pool.begin().await?;
    consumer::lock(&mut transaction, Name::Seal).await?;
    let ended = ended(&mut transaction, signer).await?;
    let log = Uuid::new_v4();
    replace(&mut transaction, log).await?;
    consumer::note(&mut transaction, Name::Seal, &Progress::ToBuild).await?;
    let edge = Edge::default();
    let checkpoint = Checkpoint {
        log,
        size: edge.size(),
        root: edge.root(),
        replaces: ended.log,
        previous: ended.last.map(|last| last.hash()),
        at: clock::now(&mut *transaction).await?,
        complete_until: None,
        has_gap: true,
        next_key: None,
    };
    let note = Signer::sign(&[signer], &checkpoint);
    log::write(&mut transaction, 0, &checkpoint, &note).await?;
    transaction.commit().await?;
    signer.remember(&note)?;
    Ok(note)
}

/// Returns what is known of the log: what the database says of it, or what was signed last where that can't be read.
async fn ended(connection: &mut PgConnection, signer: &Signer) -> Result<Ended, Error> {
    let log = undamaged(log::log_id(&mut *connection).await)?;
    let latest = undamaged(log::latest(&mut *connection, i64::MAX).await)?.flatten();
    let last = latest.map_or_else(|| signer.remembered(), |latest| Some(latest.checkpoint));
    Ok(Ended {
        log: log.or_else(|| last.as_ref().map(|last| last.log)),
        last,
    })
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
