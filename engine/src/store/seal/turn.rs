//! Appends to the sealed log what the feed says has changed, and signs what the log is by then.

use std::time::Duration;

use history::Timestamp;
use sqlx::{PgConnection, PgPool};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    append::append,
    gather::{self, Gathered},
    log::{self, Latest, signed},
    prove,
    prune::prune,
};
use crate::{
    clock::{are_apart, of_this_machine},
    limits::SEAL_REFUSED_HOLDS,
    seal::{
        Checkpoint, Entry, Note, PublicKey, Refusal, Signer, Subject,
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
    let is_apart = are_apart(state.now, of_this_machine());
    if is_apart {
        tracing::warn!(
            code = "CLOCK_DOUBTED",
            "the database's clock and this machine's are apart, and until when all is sealed is not said"
        );
    }
    if gathered.has_gap && state.latest.is_some() {
        tracing::warn!(
            code = "SEAL_GAP",
            "the sealed log has not read all of the feed, and seals the heads of all runs that are there: when since the last checkpoint that had all they were committed nobody can say then"
        );
    }
    if state.latest.is_some() && signer.remembered().is_none() {
        tracing::warn!(
            code = "SEAL_MEMORY_MISSING",
            "the log was signed before, and what this key has signed last is not kept beside it: whether this database is an earlier state of itself can't be seen, and the log goes on"
        );
    }
    seal(&mut transaction, &mut state, &gathered).await?;
    let checkpoint = Checkpoint {
        // Of a clock that may be wrong it is not said.
        complete_until: (gathered.is_all && !is_apart).then_some(state.now),
        has_gap: gathered.has_gap,
        ..state.next(None)
    };
    let note = Signer::sign(&[signer], &checkpoint);
    log::write(&mut transaction, state.next_n(), &checkpoint, &note).await?;
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
    if is_followed(&mut transaction, new).await? {
        return Ok(Err(Refusal::Followed));
    }
    let state = match state(&mut transaction, old.unwrap_or(new)).await? {
        Ok(state) => state,
        // Whose key is lost is not asked.
        Err(Refusal::OtherKey) if old.is_none() => unsigned(&mut transaction).await?,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let checkpoint = state.next(Some(new.public()));
    let keys: Vec<&Signer> = old.into_iter().chain([new]).collect();
    let note = Signer::sign(&keys, &checkpoint);
    log::write(&mut transaction, state.next_n(), &checkpoint, &note).await?;
    transaction.commit().await?;
    for signer in keys {
        signer.remember(&note)?;
    }
    Ok(Ok(note))
}

impl State {
    /// Returns the number of the next checkpoint.
    fn next_n(&self) -> i64 {
        self.latest.as_ref().map_or(0, |latest| latest.n + 1)
    }

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
            replaces: None,
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
    if signer
        .remembered()
        .is_some_and(|last| last.log != state.log)
        && let Some(first) = log::latest(&mut *connection, 0).await?
    {
        signer.go_over(state.log, &first.note);
    }
    if let Err(refusal) = signer.check(state.log, latest.map(|it| (&it.note, &it.checkpoint))) {
        let is_altered = refusal == Refusal::OtherKey
            && signer.remembered().is_some()
            && !is_followed(&mut *connection, signer).await?;
        return Ok(Err(if is_altered {
            Refusal::Altered
        } else {
            refusal
        }));
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

/// Says whether a key has said that another one follows it.
pub(super) async fn is_followed(
    connection: &mut PgConnection,
    signer: &Signer,
) -> Result<bool, Error> {
    let rotations = prove::rotations(connection, i64::MAX).await?;
    let notes = rotations.iter().filter_map(|note| note.parse().ok());
    Ok(notes
        .into_iter()
        .any(|note: Note| signer.is_followed(&note)))
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
            subject: Subject::History {
                seq: head.seq,
                closes: head.closes,
            },
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
        let pruned = prune(connection, &state.edge, before_tile).await?;
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
