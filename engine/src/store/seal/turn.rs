//! Appends to the sealed log what the feed says has changed, and signs what the log is by then.

use std::time::Duration;

use history::Timestamp;
use sqlx::{Connection as _, PgConnection, PgPool};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    append::append,
    gather::{self, Gathered},
    log::{self, Latest, signed},
    prove,
};
use crate::{
    limits::{
        SEAL_PRUNE_LEAST, SEAL_PRUNE_LOOK, SEAL_PRUNE_MAX, SEAL_REFUSED_HOLDS, VISIBILITY_TIMEOUT,
    },
    seal::{
        Checkpoint, Entry, Note, PublicKey, Refusal, Signer, Subject, hash_of_tiles,
        tree::{Edge, TILE},
    },
    store::{
        Error, clock,
        feed::consumer::{self, Name},
        interval,
    },
};

/// What a turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The log has all that was committed when it began, or was signed a short while ago.
    Done,
    /// There is more to be sealed.
    More,
    /// The log is not what was signed.
    Refused(Refusal),
}

/// Where the log stands.
struct State {
    log: Uuid,
    latest: Option<Latest>,
    edge: Edge,
    now: Timestamp,
}

/// Appends what has changed and signs, in a transaction of its own, unless that was done less than a time ago. Waits for whoever else does so.
pub(crate) async fn turn(pool: &PgPool, signer: &Signer, every: Duration) -> Result<Turn, Error> {
    let mut transaction = pool.begin().await?;
    let consumer = consumer::lock(&mut transaction, Name::Seal).await?;
    let mut state = match state(&mut transaction, signer).await? {
        Ok(state) => state,
        Err(refusal) => return Ok(Turn::Refused(refusal)),
    };
    if state.is_early(every) {
        return Ok(Turn::Done);
    }
    let gathered = gather::gather(&mut transaction, consumer).await?;
    if let Some(progress) = &gathered.progress {
        consumer::note(&mut transaction, Name::Seal, progress).await?;
    }
    let turn = if gathered.is_all {
        Turn::Done
    } else {
        Turn::More
    };
    if gathered.is_empty() {
        transaction.commit().await?;
        return Ok(turn);
    }
    if state.latest.is_some() && signer.remembered().is_none() {
        tracing::warn!(
            code = "SEAL_MEMORY_MISSING",
            "the log was signed before, and what this key has signed last is not kept beside it: whether this database is an earlier state of itself can't be seen, and the log goes on"
        );
    }
    seal(&mut transaction, &mut state, &gathered).await?;
    let checkpoint = Checkpoint {
        complete_until: gathered.is_all.then_some(state.now),
        has_gap: gathered.has_gap,
        ..state.next(None)
    };
    let note = write(
        &mut transaction,
        &state,
        &checkpoint,
        Signer::sign(&[signer], &checkpoint),
    )
    .await?;
    transaction.commit().await?;
    // It is signed and in the database, whether that can be kept or not.
    if let Err(error) = signer.remember(&note) {
        tracing::error!(
            code = error.code(),
            error = &error as &dyn std::error::Error,
            "what is signed can't be kept beside the key: an earlier state of this database would not be noticed"
        );
    }
    Ok(turn)
}

/// Says to all processes, for a while, that the log is not what was signed.
pub(crate) async fn say_refused(pool: &PgPool) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE cluster SET seal_refused_until = clock_timestamp() + $1::interval",
        interval(SEAL_REFUSED_HOLDS)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Has another key sign from now on. Who had signed until now says so, unless its key is lost.
pub(crate) async fn rotate(
    pool: &PgPool,
    old: Option<&Signer>,
    new: &Signer,
) -> Result<Result<Note, Refusal>, Error> {
    let mut transaction = pool.begin().await?;
    consumer::lock(&mut transaction, Name::Seal).await?;
    let state = match state(&mut transaction, old.unwrap_or(new)).await? {
        Ok(state) => state,
        // Whose key is lost is not asked.
        Err(Refusal::OtherKey) if old.is_none() => unsigned(&mut transaction).await?,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let checkpoint = state.next(Some(new.public()));
    let keys: Vec<&Signer> = old.into_iter().chain([new]).collect();
    let note = Signer::sign(&keys, &checkpoint);
    let note = write(&mut transaction, &state, &checkpoint, note).await?;
    transaction.commit().await?;
    for signer in keys {
        signer.remember(&note)?;
    }
    Ok(Ok(note))
}

impl State {
    /// Says whether all that was committed until a short while ago is sealed.
    fn is_early(&self, every: Duration) -> bool {
        let latest = self.latest.as_ref().map(|latest| &latest.checkpoint);
        let until = latest.and_then(|latest| latest.complete_until);
        let half = i64::try_from(every.as_micros() / 2).unwrap_or(i64::MAX);
        // One of a time when the clock was ahead says nothing.
        until.is_some_and(|until| (self.now.0.saturating_sub(half)..=self.now.0).contains(&until.0))
    }

    /// Returns a checkpoint of the log as it is.
    fn next(&self, next_key: Option<PublicKey>) -> Checkpoint {
        let latest = self.latest.as_ref().map(|latest| &latest.checkpoint);
        Checkpoint {
            log: self.log,
            size: self.edge.size(),
            root: self.edge.root(),
            previous: latest.map(Checkpoint::hash),
            // A clock that was set back is no reason for a log that does not go on.
            at: latest.map_or(self.now, |latest| latest.at.max(self.now)),
            complete_until: latest.and_then(|latest| latest.complete_until),
            has_gap: false,
            next_key,
        }
    }
}

/// Returns where the log stands, if that follows from what was signed. What of it is not there any more, or can't be read, does not.
async fn state(
    connection: &mut PgConnection,
    signer: &Signer,
) -> Result<Result<State, Refusal>, Error> {
    match follows(connection, signer).await {
        Err(error) if error.is_of_damage() => {
            tracing::warn!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "the sealed log can't be read"
            );
            Ok(Err(Refusal::Altered))
        }
        state => state,
    }
}

async fn follows(
    connection: &mut PgConnection,
    signer: &Signer,
) -> Result<Result<State, Refusal>, Error> {
    let state = unsigned(&mut *connection).await?;
    let latest = state.latest.as_ref();
    if latest.is_some_and(|latest| latest.checkpoint.root != state.edge.root()) {
        return Ok(Err(Refusal::Altered));
    }
    if let Err(refusal) = signer.check(state.log, latest.map(|it| (&it.note, &it.checkpoint))) {
        return Ok(Err(refusal));
    }
    // What was signed by others meanwhile was appended to what was signed here.
    if let (Some(latest), Some(known)) = (latest, signer.remembered())
        && known.size > 0
        && (known.size, known.root) != (latest.checkpoint.size, latest.checkpoint.root)
        && !is_appended(connection, &known, &latest.checkpoint).await?
    {
        return Ok(Err(Refusal::Altered));
    }
    Ok(Ok(state))
}

/// Returns where the log stands, whoever has signed that.
async fn unsigned(connection: &mut PgConnection) -> Result<State, Error> {
    let log = log::log_id(&mut *connection).await?;
    let latest = log::latest(&mut *connection, i64::MAX).await?;
    let size = latest.as_ref().map_or(0, |latest| latest.checkpoint.size);
    let edge = log::edge(&mut *connection, size).await?;
    let now = clock::now(connection).await?;
    Ok(State {
        log,
        latest,
        edge,
        now,
    })
}

/// Says whether the log has only grown between two checkpoints.
async fn is_appended(
    connection: &mut PgConnection,
    from: &Checkpoint,
    to: &Checkpoint,
) -> Result<bool, Error> {
    let proof = prove::proof(connection, |hashes| {
        tlog::prove_tree(to.size, from.size, hashes)
    })
    .await?;
    Ok(proof.is_some_and(|proof| {
        tlog::check_tree(&proof, to.size, to.root, from.size, from.root).is_ok()
    }))
}

/// Appends what was gathered, and notes what was deleted.
async fn seal(
    connection: &mut PgConnection,
    state: &mut State,
    gathered: &Gathered,
) -> Result<(), Error> {
    let mut entries: Vec<Entry> = Vec::with_capacity(gathered.heads.len());
    for (run_id, head) in &gathered.heads {
        entries.push(Entry {
            shard: head.shard,
            id: *run_id,
            subject: Subject::History { seq: head.seq },
            hash: head.hash,
        });
    }
    // Behind the runs, so that few tiles stay for their sake.
    let first = state.edge.size() + u64::try_from(entries.len()).unwrap_or(u64::MAX);
    entries.extend(&gathered.tombstones);
    note_tombstones(connection, &gathered.tombstones, first).await?;
    let before_tile = state.edge.size() / TILE;
    append(connection, &mut state.edge, &entries).await?;
    if !gathered.tombstones.is_empty() {
        let pruned = prune(connection, before_tile, state.edge.size()).await?;
        append(connection, &mut state.edge, pruned.as_slice()).await?;
    }
    Ok(())
}

async fn note_tombstones(
    connection: &mut PgConnection,
    tombstones: &[Entry],
    first: u64,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = tombstones.iter().map(|entry| entry.id).collect();
    sqlx::query!(
        "UPDATE tombstone b SET leaf = $2 + u.place - 1
         FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, place) WHERE b.id = u.id",
        &ids,
        signed(first),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes tiles all of whose runs are deleted; returns the entry that says so. What is to be signed does not wait for it: where it takes too long,
/// those that were looked at are left for the next round.
async fn prune(
    connection: &mut PgConnection,
    before_tile: u64,
    place: u64,
) -> Result<Option<Entry>, Error> {
    let pruned = async |connection: &mut PgConnection| {
        let pruned = sqlx::query!(
            r#"SELECT gone AS "tiles!", begun::text FROM prune_seal($1, $2, $3)"#,
            signed(before_tile),
            SEAL_PRUNE_LOOK,
            SEAL_PRUNE_LEAST,
        );
        Ok(pruned.fetch_one(connection).await?)
    };
    let Some(pruned) = in_time(connection, pruned).await? else {
        sqlx::query!(
            "UPDATE seal SET prune_from = prune_from + $1::integer",
            SEAL_PRUNE_LOOK
        )
        .execute(connection)
        .await?;
        return Ok(None);
    };
    let tiles = pruned.tiles;
    let forgotten = async |connection: &mut PgConnection| {
        let forgotten = sqlx::query!(
            "SELECT FROM forget_deleted_runs($1, $2::text::int8multirange)",
            signed(before_tile),
            pruned.begun,
        );
        forgotten.execute(connection).await?;
        Ok(())
    };
    in_time(connection, forgotten).await?;
    if tiles.is_empty() {
        return Ok(None);
    }
    let id = sqlx::query_scalar!(
        "INSERT INTO seal_pruned (tiles, leaf) VALUES ($1, $2) RETURNING id",
        &tiles,
        signed(place),
    )
    .fetch_one(connection)
    .await?;
    Ok(Some(Entry {
        shard: 0,
        id,
        subject: Subject::Pruned,
        hash: hash_of_tiles(&tiles),
    }))
}

/// Does something that may take only so long, and else is as if it had not been begun.
async fn in_time<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut savepoint = connection.begin().await?;
    limit(&mut savepoint, SEAL_PRUNE_MAX).await?;
    match work(&mut savepoint).await {
        Ok(done) => {
            savepoint.commit().await?;
            limit(connection, VISIBILITY_TIMEOUT).await?;
            Ok(Some(done))
        }
        Err(error) if error.is_of_a_wait() => {
            savepoint.rollback().await?;
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "some of what the sealed log says of deleted runs is kept for longer"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Limits what each statement of this transaction takes from now on.
async fn limit(connection: &mut PgConnection, most: Duration) -> Result<(), Error> {
    sqlx::query!(
        "SELECT set_config('statement_timeout', $1, true)",
        most.as_millis().to_string()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Writes a checkpoint behind the latest.
async fn write(
    connection: &mut PgConnection,
    state: &State,
    checkpoint: &Checkpoint,
    note: Note,
) -> Result<Note, Error> {
    sqlx::query!(
        "INSERT INTO checkpoint (n, size, root, at, complete_until, note)
         VALUES ($1, $2, $3, 'epoch'::timestamptz + $4::bigint * interval '1 microsecond', 'epoch'::timestamptz + $5::bigint * interval '1 microsecond', $6)",
        state.latest.as_ref().map_or(0, |latest| latest.n + 1),
        signed(checkpoint.size),
        checkpoint.root.0.as_slice(),
        checkpoint.at.0,
        checkpoint.complete_until.map(|until| until.0),
        note.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(note)
}
