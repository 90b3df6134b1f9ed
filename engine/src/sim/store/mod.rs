//! A database in memory, with the bad days of a real one.

mod lane;
mod locker;
mod tables;
mod transaction;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::HashSet;
use futures::FutureExt as _;
use history::{Event, Namespace, RunId, Timestamp, WorkflowId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    histories::Instead,
    planted::{Bug, planted},
    world::{chance, dawdle, now},
};
use crate::{
    limits::{COMMITTERS, LOCK_WAIT_MAX, PARKED_PAGE},
    store::{
        Answer, Connection, Error, Session, Store, Term,
        acknowledged::{Held, Known, Verdict, Witness},
        commit::{Item, OpenRow},
        fate::Fate,
        load::{Due, Header, Loaded, Ns, Part, Window},
        ownership::{Placed, Seen, View},
        session,
        sqlstate::LOCK_NOT_AVAILABLE,
    },
};
use lane::Lane;
use locker::Locker;
pub(super) use tables::{Curse, State};
use transaction::Lock;

/// The namespace of every simulation.
pub(super) fn ns() -> Ns {
    Ns {
        id: 1,
        name: Namespace::known("default"),
    }
}

/// How likely it is, in a thousand, that a thing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Odds {
    /// A batch fails before it is applied, and the connection lives.
    pub(super) refused: u32,
    /// The connection ends before the batch is applied.
    pub(super) cut_before: u32,
    /// The connection ends after the batch was applied.
    pub(super) cut_after: u32,
    /// A batch, or the answer to a read, takes up to half a second.
    pub(super) slow: u32,
    /// A read fails.
    pub(super) read_fails: u32,
    /// There is room for only some of the runs that are read at once.
    pub(super) short_reads: u32,
    /// A letter between processes is lost, or its answer is.
    pub(super) lost_letters: u32,
}

/// The lease of every process.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// A database that several processes share, as one of them sees it.
#[derive(Clone)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    process: usize,
    witness: Witness,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}
fn failed() -> Error {
    Error::Sqlx(sqlx::Error::PoolTimedOut)
}

/// What the server answers to one who has waited too long for a lock.
#[derive(Debug, thiserror::Error)]
#[error("canceling statement due to lock timeout")]
struct LockTimeout;

impl sqlx::error::DatabaseError for LockTimeout {
    fn message(&self) -> &'static str {
        "canceling statement due to lock timeout"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(LOCK_NOT_AVAILABLE.into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}

impl Memory {
    pub(super) fn new(odds: Odds) -> Self {
        let state = State {
            odds,
            shards: (0..1024)
                .map(|shard| Placed {
                    shard,
                    member: None,
                    open_since: Some(Timestamp(0)),
                })
                .collect(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(Notify::new()),
            process: 0,
            witness: Witness::default(),
        }
    }

    /// Returns the same database, as a process sees it that has just begun.
    pub(super) fn of_process(&self, process: usize) -> Self {
        Self {
            process,
            witness: Witness::default(),
            ..self.clone()
        }
    }

    /// A standby takes the place of the database: what it holds is so from now on, and all sessions end. Returns the processes that
    /// were told of a batch that it does not hold.
    pub(super) fn fail_over(&self, standby: State) -> BTreeSet<usize> {
        let mut state = self.state();
        let lost = state
            .told
            .iter()
            .filter(|(_, batch)| !standby.committed.contains(batch));
        let losers = lost.map(|(process, _)| *process).collect();
        *state = State {
            timeline: state.timeline + 1,
            next_backend: state.next_backend,
            backends: BTreeMap::new(),
            locks: BTreeMap::new(),
            held: BTreeMap::new(),
            ..standby
        };
        drop(state);
        self.changed.notify_waiters();
        losers
    }

    /// Notes that this process was told that a batch is committed.
    fn told(&self, term: Term, slot: i16, batch: i64) {
        let key = (term.owner, slot, batch);
        self.state().told.insert((self.process, key));
        if let Some(acknowledged) = self.witness.acknowledged() {
            acknowledged.note(slot, batch);
        }
    }

    /// Compares the database with what this process was told.
    fn compare(&self, known: &Known, held: &Held) -> Verdict {
        let verdict = known.compare(held);
        if matches!(verdict, Verdict::Behind(_)) {
            self.state().alarmed.insert(self.process);
        }
        verdict
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, in time, unless that fails.
    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'a,
    ) -> Answer<'a, T> {
        async move {
            dawdle(2).await;
            let (answer, slow) = {
                let mut state = self.state();
                state.statements += 1;
                let answer = if happens(state.odds.read_fails) {
                    Err(failed())
                } else {
                    read(&mut state)
                };
                (answer, happens(state.odds.slow))
            };
            dawdle(if slow { 500 } else { 2 }).await;
            answer
        }
        .boxed()
    }

    /// Looks at what is asked for many runs at once. A read that is refused is never answered: whoever asks for nothing is answered at
    /// once by Postgres, and who asks again then would never let the simulation end.
    async fn look_at_read(&self, asked: &[(i16, RunId)]) {
        let runs: BTreeSet<RunId> = asked.iter().map(|(_, run_id)| *run_id).collect();
        let problem = if asked.is_empty() {
            "a read of no run"
        } else if runs.len() < asked.len() {
            // The rows of such a run come twice, so that it can't be folded.
            "a read that names a run twice"
        } else {
            return;
        };
        self.state().checks.violated(problem.to_owned());
        std::future::pending::<()>().await;
    }

    /// Waits until something that was asked of the state is so.
    pub(super) async fn until<T>(&self, mut ask: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = ask(&mut self.state()) {
                return answer;
            }
            changed.await;
        }
    }

    /// Keeps the row that all changes of members need, for so long, and lies idle.
    pub(super) async fn keep_cluster(&self, time: Duration) -> Result<(), Error> {
        let transaction = self.begin_for_ever().await;
        transaction.lock(Lock::Cluster).await?;
        tokio::time::sleep(time).await;
        Ok(())
    }

    /// Ends a membership once no batch of it holds its slot's row.
    async fn remove(&self, member: Uuid, by: Term) -> Result<(), Error> {
        let transaction = self.begin().await;
        if planted(Bug::ClusterFirst) {
            transaction.lock(Lock::Cluster).await?;
        }
        for slot in (0..).take(COMMITTERS) {
            transaction.lock(Lock::Slot(member, slot)).await?;
        }
        if !planted(Bug::ClusterFirst) {
            transaction.lock(Lock::Cluster).await?;
        }
        let remove = |state: &mut State| {
            if state.is_member(by) {
                state.remove(member);
            }
        };
        transaction.commit(remove).await
    }

    /// Folds runs whose headers were read before, each as its rows are by now.
    fn fold(&self, headers: Vec<Header>) -> Answer<'_, Vec<(Ns, Loaded)>> {
        self.read(move |state| {
            let folded = headers.iter().map(|header| Ok((ns(), state.fold(header)?)));
            folded.collect()
        })
    }

    /// Ends the session of a slot and finds out what became of its batch, as one statement of the server.
    async fn find_fate(
        self,
        slot: i16,
        term: Term,
        batch: i64,
        starts: Vec<RunId>,
    ) -> Result<Found, Error> {
        let session = session::Session::Fate(term.owner, slot);
        let backend = self.state().open_backend(Some(session));
        let lost = session::Session::Commit(term.owner, slot);
        self.state().end_sessions(|session| session == lost);
        self.changed.notify_waiters();
        let row = Lock::Slot(term.owner, slot);
        let locked = self.lock(row, backend, LOCK_WAIT_MAX).await;
        let found = Found::of(&self.state(), slot, term, batch, &starts);
        self.end_backend(backend);
        locked.map(|()| found)
    }

    /// The same, as a transaction of several statements that nothing ends.
    async fn find_fate_slowly(
        &self,
        slot: i16,
        term: Term,
        batch: i64,
        starts: Vec<RunId>,
    ) -> Result<Found, Error> {
        let lost = session::Session::Commit(term.owner, slot);
        self.state().end_sessions(|session| session == lost);
        self.changed.notify_waiters();
        let transaction = self.begin_for_ever().await;
        transaction.lock(Lock::Slot(term.owner, slot)).await?;
        dawdle(5).await;
        let found = |state: &mut State| Found::of(state, slot, term, batch, &starts);
        transaction.commit(found).await
    }
}

/// What the database says of a batch.
struct Found {
    held: Held,
    member: bool,
    committed: Option<HashSet<RunId>>,
}

impl Found {
    fn of(state: &State, slot: i16, term: Term, batch: i64, starts: &[RunId]) -> Self {
        let there = state.batch_log.contains(&(term.owner, slot, batch));
        let lost = starts.iter().filter(|id| !state.run_exists(**id)).copied();
        Self {
            held: state.held_of(term.owner),
            member: !state.fenced(term),
            committed: (there && !planted(Bug::DoubledCompletion)).then(|| lost.collect()),
        }
    }
}

fn happens(in_a_thousand: u32) -> bool {
    in_a_thousand > 0 && chance(|rng| rng.u32(0..1000)) < in_a_thousand
}

impl Store for Memory {
    fn load<'a>(
        &'a self,
        _namespace: &'a Ns,
        _shard: i16,
        workflow_id: &'a WorkflowId,
        run_id: Option<RunId>,
    ) -> Answer<'a, Option<Loaded>> {
        async move {
            let header = self.read(move |state| {
                let run_id = run_id.or_else(|| state.current(workflow_id));
                let header = run_id.and_then(|run_id| state.header(run_id));
                Ok(header.filter(|header| header.workflow_id == workflow_id.as_str()))
            });
            let Some(header) = header.await? else {
                return Ok(None);
            };
            let folded = self.fold(vec![header]).await?.pop();
            Ok(folded.map(|(_, loaded)| loaded))
        }
        .boxed()
    }

    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)], bytes: u64) -> Answer<'a, Part> {
        async move {
            self.look_at_read(asked).await;
            let counted = self.read(move |state| {
                let (mut headers, mut read, mut sum) = (Vec::new(), 0, 0);
                state.most_asked = state.most_asked.max(asked.len());
                let most = if happens(state.odds.short_reads) {
                    chance(|rng| rng.usize(1..=asked.len()))
                } else {
                    asked.len()
                };
                for (_, run_id) in &asked[..most] {
                    sum += state.stored_bytes(*run_id);
                    if sum > bytes && read > 0 {
                        break;
                    }
                    read += 1;
                    state.runs_read.push(*run_id);
                    headers.extend(state.header(*run_id));
                }
                Ok((headers, read))
            });
            // Which there are is read as of one moment, what is in them later.
            let (headers, read) = counted.await?;
            let runs = self.fold(headers).await?;
            Ok(Part { runs, read })
        }
        .boxed()
    }

    fn events(&self, _shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        async move {
            let bytes = self.state().begin_history(run_id);
            let events = self.read(move |state| {
                let shown = match state.instead_of_histories {
                    None => usize::MAX,
                    Some(Instead::Part) => 1,
                    Some(Instead::Failure) => return Err(failed()),
                };
                let rows = state.history.get(&run_id).into_iter().flatten().take(shown);
                let records = rows.flat_map(|row| super::checks::parse(&row.records));
                Ok(records
                    .filter_map(|record| record.event().cloned())
                    .collect())
            });
            let events = events.await;
            self.state().history_bytes -= bytes;
            events
        }
        .boxed()
    }

    fn hot<'a>(
        &'a self,
        shards: &'a [i16],
        open_since: Timestamp,
    ) -> Answer<'a, Vec<(i16, RunId)>> {
        self.read(move |state| {
            let old = state
                .open_run
                .iter()
                .filter(|(_, open)| **open == OpenRow::Hot);
            let young = state.open().filter(|(run_id, _)| {
                let started = i64::try_from(run_id.0.as_u128() >> 80).unwrap_or(0) * 1000;
                started >= open_since.0 / 1000 * 1000 && !state.open_run.contains_key(run_id)
            });
            let runs: BTreeSet<RunId> = old
                .map(|(run_id, _)| *run_id)
                .chain(young.map(|(run_id, _)| *run_id))
                .chain(state.outbox.iter().copied())
                .collect();
            let placed = runs.into_iter().filter_map(|run_id| {
                let shard = state.executions.get(&run_id)?.shard;
                shards.contains(&shard).then_some((shard, run_id))
            });
            Ok(placed.collect())
        })
    }

    fn parked_due<'a>(&'a self, window: &'a Window) -> Answer<'a, Vec<Due>> {
        self.read(move |state| {
            let parked = state.open_run.iter().filter_map(|(run_id, open)| {
                let OpenRow::Parked(Some(at)) = *open else {
                    return None;
                };
                let (run_id, shard) = (*run_id, state.executions.get(run_id)?.shard);
                let within = (at, run_id) > window.after && at < window.before;
                let asked = window.shards.contains(&shard);
                (within && asked).then_some(Due { at, shard, run_id })
            });
            let mut due: Vec<Due> = parked.collect();
            due.sort_unstable_by_key(|due| (due.at, due.run_id));
            due.truncate(PARKED_PAGE);
            state
                .deadlines_read
                .extend(due.iter().map(|due| due.run_id));
            Ok(due)
        })
    }

    fn prepare(&self, _now: Timestamp) -> Answer<'_, ()> {
        async move {
            if self.state().partitions_kept {
                std::future::pending::<()>().await;
            }
            self.read(|_| Ok(())).await
        }
        .boxed()
    }

    fn look(&self, known: Option<i64>) -> Answer<'_, View> {
        self.read(move |state| {
            let members = state.members.iter().map(|(id, member)| Seen {
                id: *id,
                address: member.address.clone(),
                expired: member.lease_until < now(),
            });
            Ok(View {
                version: state.version,
                members: members.collect(),
                shards: (known != Some(state.version)).then(|| state.shards.clone()),
            })
        })
    }

    fn end(&self, member: Uuid) -> Answer<'_, ()> {
        async move {
            dawdle(2).await;
            {
                let mut state = self.state();
                state.end_member(member);
                state.end_idle_lock_holder(member, LEASE);
            }
            self.changed.notify_waiters();
            Ok(())
        }
        .boxed()
    }

    fn fence(&self, member: Uuid, by: Term) -> Answer<'_, ()> {
        async move {
            self.end(member).await?;
            dawdle(2).await;
            self.remove(member, by).await
        }
        .boxed()
    }

    fn give(&self, term: Term, moves: Vec<(i16, Uuid)>, wait: Duration) -> Answer<'_, ()> {
        async move {
            let transaction = self.begin().await;
            transaction.lock_within(Lock::Cluster, wait).await?;
            let fails = |state: &State| happens(state.odds.read_fails);
            if fails(&self.state()) {
                return Err(failed());
            }
            transaction.commit(|state| state.give(term, moves)).await?;
            if fails(&self.state()) {
                return Err(failed());
            }
            Ok(())
        }
        .boxed()
    }

    fn claim(&self, term: Term) -> Answer<'_, ()> {
        async move {
            let transaction = self.begin().await;
            transaction.lock(Lock::Cluster).await?;
            let claim = |state: &mut State| {
                if state.is_member(term) {
                    state.claim(term.owner);
                }
            };
            transaction.commit(claim).await
        }
        .boxed()
    }

    fn folded<'a>(&'a self, term: Term, shards: &'a [i16]) -> Answer<'a, ()> {
        async move {
            let transaction = self.begin().await;
            transaction.lock(Lock::Cluster).await?;
            let note = |state: &mut State| {
                for shard in shards {
                    let placed = &mut state.shards[usize::try_from(*shard).unwrap_or(0)];
                    if placed.member == Some(term.owner) {
                        placed.open_since = None;
                    }
                }
            };
            transaction.commit(note).await
        }
        .boxed()
    }

    fn delete_old_batches(&self, _term: Term) -> Answer<'_, ()> {
        self.read(|state| {
            state.old_batches_deleted += 1;
            Ok(())
        })
    }

    fn session(&self, member: Uuid) -> Answer<'_, Box<dyn Session>> {
        self.locker(session::Session::Lease(member))
    }

    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn Session>> {
        self.locker(session::Session::Watch(term.owner))
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn Connection>> {
        async move {
            dawdle(2).await;
            let mut state = self.state();
            if happens(state.odds.read_fails) {
                return Err(failed());
            }
            let session = session::Session::Commit(term.owner, slot);
            let connection = Lane {
                memory: self.clone(),
                backend: state.open_backend(Some(session)),
                slot,
                term,
            };
            Ok(Box::new(connection) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn fate<'a>(
        &'a self,
        slot: i16,
        term: Term,
        batch: i64,
        items: &'a [Item],
    ) -> Answer<'a, Fate> {
        async move {
            let Some(known) = self.witness.known() else {
                return Ok(Fate::Fenced);
            };
            dawdle(2).await;
            let starts = items.iter().flat_map(|item| &item.starts);
            let starts = starts.map(|start| start.run_id).collect();
            let found = if planted(Bug::HeldFate) {
                self.find_fate_slowly(slot, term, batch, starts).await?
            } else {
                let found = tokio::spawn(self.clone().find_fate(slot, term, batch, starts));
                found.await.map_err(|_| failed())??
            };
            dawdle(2).await;
            let verdict = self.compare(&known, &found.held);
            let fate = Fate::judged(&verdict, found.member, found.committed);
            if matches!(fate, Fate::Committed(_)) {
                self.told(term, slot, batch);
            }
            Ok(fate)
        }
        .boxed()
    }
}

impl Memory {
    fn locker(&self, session: session::Session) -> Answer<'_, Box<dyn Session>> {
        async move {
            dawdle(2).await;
            let session = Locker {
                memory: self.clone(),
                backend: self.state().open_backend(Some(session)),
            };
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }
}
