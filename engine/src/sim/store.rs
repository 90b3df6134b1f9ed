//! A database in memory, with the bad days of a real one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use history::{Event, Namespace, RunId, Timestamp, WorkflowId};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{
    checks::{Checks, Violation},
    planted::{Bug, planted},
    world::{chance, dawdle, now},
};
use crate::placement;
use crate::store::{
    Answer, Answers, Connection, Error, NotCommitted, Session, Store, Term,
    commit::{Conflicts, Item, OpenRow, Settled},
    load::{Header, Loaded, Ns, fold_one},
    ownership::{Fate, Placed, Seen, View},
};

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
    /// A batch takes up to half a second.
    pub(super) slow: u32,
    /// A read fails.
    pub(super) read_fails: u32,
    /// A letter between processes is lost, or its answer is.
    pub(super) lost_letters: u32,
}

/// A database that several processes share.
#[derive(Clone)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

/// A row of `execution`.
#[derive(Debug, Clone)]
struct Execution {
    shard: i16,
    workflow_id: WorkflowId,
    closed: bool,
}

/// A row of `member`.
#[derive(Debug, Clone)]
struct Member {
    address: String,
    epoch: i64,
    lease_until: Timestamp,
    open_since: Timestamp,
    backends: BTreeSet<i32>,
}

#[derive(Default)]
pub(super) struct State {
    epoch: i64,
    version: i64,
    members: BTreeMap<Uuid, Member>,
    shards: Vec<Placed>,
    /// Backends that live.
    alive: BTreeSet<i32>,
    next_backend: i32,
    /// Who has the lock of a member, and who waits for it.
    locks: BTreeMap<Uuid, VecDeque<i32>>,
    /// The backend whose batch holds a slot's row.
    busy: BTreeMap<(Uuid, i16), i32>,
    batch_log: BTreeSet<(Uuid, i16, i64)>,

    executions: BTreeMap<RunId, Execution>,
    current: BTreeMap<WorkflowId, RunId>,
    history: BTreeMap<RunId, Vec<(i32, String, Vec<u8>)>>,
    open_run: BTreeMap<RunId, OpenRow>,
    outbox: BTreeSet<RunId>,

    /// How many shards were given to another member, and how many requests went to one.
    pub(super) given: u64,
    pub(super) sent: u64,

    pub(super) odds: Odds,
    pub(super) checks: Checks,
}

impl State {
    fn open_backend(&mut self) -> i32 {
        self.next_backend += 1;
        self.alive.insert(self.next_backend);
        self.next_backend
    }

    /// Ends a session: its lock is free, its batch is rolled back.
    fn end_backend(&mut self, backend: i32) {
        self.alive.remove(&backend);
        for queue in self.locks.values_mut() {
            queue.retain(|other| *other != backend);
        }
        self.busy.retain(|_, busy| *busy != backend);
    }

    fn fenced(&self, term: Term) -> bool {
        !planted(Bug::FenceLeftOut) && !self.is_member(term)
    }

    fn is_member(&self, term: Term) -> bool {
        self.members
            .get(&term.owner)
            .is_some_and(|member| member.epoch == term.epoch)
    }

    fn is_busy(&self, member: Uuid) -> bool {
        self.busy.keys().any(|(busy, _)| *busy == member)
    }

    /// Ends what a member has recorded, but for one backend.
    fn end_member(&mut self, member: Uuid, but: i32) {
        let backends = self
            .members
            .get(&member)
            .map(|member| member.backends.clone());
        for backend in backends.into_iter().flatten() {
            if backend != but {
                self.end_backend(backend);
            }
        }
    }

    /// Ends a membership as a transaction does.
    fn remove(&mut self, member: Uuid) {
        let Some(gone) = self.members.remove(&member) else {
            return;
        };
        self.version += 1;
        self.batch_log.retain(|(of, _, _)| *of != member);
        let heirs: Vec<Uuid> = self
            .members
            .iter()
            .filter(|(_, heir)| heir.lease_until >= now())
            .map(|(id, _)| *id)
            .collect();
        for placed in self.shards.iter_mut().filter(|p| p.member == Some(member)) {
            placed.member = placement::member_of(placed.shard, &heirs);
            let since = placed.open_since.unwrap_or(gone.open_since);
            placed.open_since = Some(since.min(gone.open_since));
        }
    }

    /// Applies a batch as Postgres would, and returns the runs that did not get their id.
    fn apply(&mut self, term: Term, items: &[Item]) -> Result<HashSet<RunId>, Violation> {
        for item in items {
            let placed = &self.shards[usize::try_from(item.shard).unwrap_or(0)];
            if placed.member != Some(term.owner) && !planted(Bug::FenceLeftOut) {
                return Err(format!(
                    "{}: a member writes to a shard of another",
                    item.workflow_id
                ));
            }
        }
        let mut lost = HashSet::new();
        let mut claims: HashMap<&WorkflowId, bool> = HashMap::new();
        for item in items {
            if let (Some(first), Some(last)) = (item.starts.first(), item.starts.last()) {
                let known = self.current.get(&item.workflow_id).copied();
                let won = known == first.previous_run_id || known.is_none();
                if won {
                    self.checks.open_runs(&item.workflow_id, known, item)?;
                    self.current.insert(item.workflow_id.clone(), last.run_id);
                } else {
                    lost.insert(last.run_id);
                }
                claims.insert(&item.workflow_id, won);
            }
            if claims.get(&item.workflow_id) == Some(&false) {
                continue;
            }
            for start in &item.starts {
                self.executions.insert(
                    start.run_id,
                    Execution {
                        shard: item.shard,
                        workflow_id: item.workflow_id.clone(),
                        closed: false,
                    },
                );
            }
            for row in &item.rows {
                let rows = self.history.entry(row.run_id).or_default();
                self.checks.row(row, rows.len(), now())?;
                rows.push((row.seq, row.records.clone(), row.hash.to_vec()));
            }
            for close in &item.closes {
                if let Some(execution) = self.executions.get_mut(&close.run_id) {
                    execution.closed = true;
                }
            }
            self.outbox.extend(item.owes);
            match item.open {
                Some((run_id, OpenRow::Gone)) => drop(self.open_run.remove(&run_id)),
                Some((run_id, open)) => drop(self.open_run.insert(run_id, open)),
                None => {}
            }
        }
        Ok(lost)
    }

    fn header(&self, run_id: RunId) -> Option<Header> {
        let execution = self.executions.get(&run_id)?;
        let open = self.open_run.get(&run_id);
        Some(Header {
            shard: execution.shard,
            run_id: run_id.0,
            namespace: 1,
            workflow_id: execution.workflow_id.to_string(),
            current: self.current.get(&execution.workflow_id) == Some(&run_id),
            parked: open.map(|open| matches!(open, OpenRow::Parked(_))),
            due_at: open.and_then(|open| match open {
                OpenRow::Parked(due) => due.map(|at| at.0),
                _ => None,
            }),
            owes: self.outbox.contains(&run_id),
        })
    }

    fn fold(&self, run_id: RunId) -> Result<Option<Loaded>, Error> {
        let (Some(header), Some(rows)) = (self.header(run_id), self.history.get(&run_id)) else {
            return Ok(None);
        };
        fold_one(&ns().name, &header, rows).map(Some)
    }

    /// Returns the runs that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = (&RunId, &WorkflowId)> {
        self.executions
            .iter()
            .filter(|(_, execution)| !execution.closed)
            .map(|(run_id, execution)| (run_id, &execution.workflow_id))
    }

    /// Returns what `open_run` and `outbox` say that is not so.
    pub(super) fn leftover(&self) -> Option<String> {
        let stale = self
            .open_run
            .keys()
            .find(|run_id| self.executions.get(run_id).is_none_or(|e| e.closed));
        match (stale, self.outbox.first()) {
            (Some(run_id), _) => Some(format!("open_run has {run_id}, which is closed")),
            (None, Some(run_id)) => Some(format!("outbox has {run_id}, which has had time to pay")),
            (None, None) => None,
        }
    }

    /// Returns the text of all rows of a run.
    pub(super) fn records(&self, run_id: RunId) -> String {
        let rows = self.history.get(&run_id).into_iter().flatten();
        rows.map(|(_, records, _)| records.as_str()).collect()
    }

    /// Returns the run that an id means.
    pub(super) fn current(&self, workflow_id: &WorkflowId) -> Option<RunId> {
        self.current.get(workflow_id).copied()
    }

    pub(super) fn run_exists(&self, run_id: RunId) -> bool {
        self.executions.contains_key(&run_id)
    }

    /// Returns whether any run of an id has this in its history.
    pub(super) fn mentions(&self, workflow_id: &WorkflowId, text: &str) -> bool {
        self.executions
            .iter()
            .filter(|(_, execution)| execution.workflow_id == *workflow_id)
            .any(|(run_id, _)| self.records(*run_id).contains(text))
    }
}

fn failed() -> Error {
    Error::Sqlx(sqlx::Error::PoolTimedOut)
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
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, in time, unless that fails.
    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&State) -> Result<T, Error> + Send + 'a,
    ) -> Answer<'a, T> {
        async move {
            dawdle(2).await;
            let answer = {
                let state = self.state();
                if happens(state.odds.read_fails) {
                    Err(failed())
                } else {
                    read(&state)
                }
            };
            dawdle(2).await;
            answer
        }
        .boxed()
    }

    /// Waits until something that was asked of the state is so.
    async fn until<T>(&self, mut ask: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = ask(&mut self.state()) {
                return answer;
            }
            changed.await;
        }
    }

    /// Does a batch as the server does, whether or not its client still lives.
    async fn serve(self, request: Batch, reply: oneshot::Sender<Result<Conflicts, NotCommitted>>) {
        let Batch {
            backend,
            slot,
            term,
            number,
            items,
            settled,
        } = request;
        let slot = (term.owner, slot);
        dawdle(1).await;
        let odds = {
            let mut state = self.state();
            if !state.alive.contains(&backend) {
                return;
            }
            if state.fenced(term) {
                let _ = reply.send(Err(NotCommitted::Fenced));
                return;
            }
            state.busy.insert(slot, backend);
            state.odds
        };
        let early = planted(Bug::EarlyReply);
        let mut reply = Some(reply);
        if early && let Some(reply) = reply.take() {
            let _ = reply.send(Ok(Conflicts::default()));
        }
        dawdle(if happens(odds.slow) { 500 } else { 3 }).await;
        if happens(odds.refused) && !early {
            self.free(slot, backend);
            if let Some(reply) = reply.take() {
                let _ = reply.send(Err(NotCommitted::TryAgain(failed())));
            }
            return;
        }
        if happens(odds.cut_before) {
            self.state().end_backend(backend);
            self.changed.notify_waiters();
            return;
        }
        let answer = {
            let mut state = self.state();
            // Its transaction was rolled back when somebody ended it.
            if state.busy.get(&slot) != Some(&backend) {
                return;
            }
            state.busy.remove(&slot);
            match state.apply(term, &items) {
                Ok(lost) => {
                    state.batch_log.insert((slot.0, slot.1, number));
                    for settled in &settled {
                        state.outbox.remove(&settled.run_id);
                    }
                    Ok(Conflicts(lost))
                }
                Err(violation) => {
                    state.checks.violated(violation);
                    Err(NotCommitted::Fenced)
                }
            }
        };
        self.changed.notify_waiters();
        if happens(odds.cut_after) {
            self.state().end_backend(backend);
            self.changed.notify_waiters();
            return;
        }
        dawdle(2).await;
        if let Some(reply) = reply.take()
            && self.state().alive.contains(&backend)
        {
            let _ = reply.send(answer);
        }
    }

    /// Ends a membership once no batch of it holds its slot's row.
    async fn remove(&self, member: Uuid, by: Term) -> Result<(), Error> {
        self.until(|state| {
            if !state.is_member(by) {
                return Some(());
            }
            if state.is_busy(member) {
                return None;
            }
            state.remove(member);
            Some(())
        })
        .await;
        self.changed.notify_waiters();
        dawdle(2).await;
        Ok(())
    }

    fn free(&self, slot: (Uuid, i16), backend: i32) {
        let mut state = self.state();
        if state.busy.get(&slot) == Some(&backend) {
            state.busy.remove(&slot);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

fn record(state: &mut State, term: Term, backend: i32) {
    if state.is_member(term)
        && let Some(member) = state.members.get_mut(&term.owner)
    {
        member.backends.insert(backend);
    }
}

fn claim(state: &mut State, member: Uuid) {
    state.version += 1;
    for placed in &mut state.shards {
        placed.member.get_or_insert(member);
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
        self.read(move |state| {
            let Some(run_id) = run_id.or_else(|| state.current(workflow_id)) else {
                return Ok(None);
            };
            let loaded = state.fold(run_id)?;
            Ok(loaded.filter(|loaded| loaded.workflow_id == *workflow_id))
        })
    }

    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)]) -> Answer<'a, Vec<(Ns, Loaded)>> {
        self.read(move |state| {
            let folded = asked
                .iter()
                .filter_map(|(_, run_id)| state.fold(*run_id).transpose());
            folded.map(|run| Ok((ns(), run?))).collect()
        })
    }

    fn events(&self, _shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        self.read(move |state| {
            let rows = state.history.get(&run_id).into_iter().flatten();
            let records = rows.flat_map(|(_, records, _)| super::checks::parse(records));
            Ok(records
                .filter_map(|record| record.event().cloned())
                .collect())
        })
    }

    fn hot(&self, shards: Vec<i16>, open_since: Timestamp) -> Answers<'_, Vec<(Ns, Loaded)>> {
        let runs = self.read(move |state| {
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
                .filter(|run_id| {
                    let execution = state.executions.get(run_id);
                    execution.is_some_and(|execution| shards.contains(&execution.shard))
                })
                .collect();
            let folded = runs
                .into_iter()
                .filter_map(|run_id| state.fold(run_id).transpose());
            folded.map(|run| Ok((ns(), run?))).collect()
        });
        futures::stream::once(runs).boxed()
    }

    fn parked_due(&self, before: Timestamp) -> Answer<'_, Vec<(i16, RunId, Timestamp)>> {
        self.read(move |state| {
            let due = state
                .open_run
                .iter()
                .filter_map(|(run_id, open)| match open {
                    OpenRow::Parked(Some(due)) if *due < before => {
                        Some((state.executions.get(run_id)?.shard, *run_id, *due))
                    }
                    _ => None,
                });
            Ok(due.collect())
        })
    }

    fn prepare(&self, _now: Timestamp) -> Answer<'_, ()> {
        self.read(|_| Ok(()))
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
            let mut state = self.state();
            state.end_member(member, 0);
            drop(state);
            self.changed.notify_waiters();
            Ok(())
        }
        .boxed()
    }

    fn fence(&self, member: Uuid, by: Term) -> Answer<'_, ()> {
        async move {
            dawdle(2).await;
            self.state().end_member(member, 0);
            self.changed.notify_waiters();
            dawdle(2).await;
            self.remove(member, by).await
        }
        .boxed()
    }

    fn give(&self, term: Term, moves: Vec<(i16, Uuid)>) -> Answer<'_, ()> {
        async move {
            dawdle(3).await;
            {
                let mut state = self.state();
                if happens(state.odds.read_fails) {
                    return Err(failed());
                }
                if let Some(giver) = state.members.get(&term.owner).cloned() {
                    state.version += 1;
                    let mut given = 0;
                    for (shard, heir) in moves {
                        let heir_is_there = state.members.contains_key(&heir);
                        let placed = &mut state.shards[usize::try_from(shard).unwrap_or(0)];
                        if placed.member == Some(term.owner) && heir_is_there {
                            placed.member = Some(heir);
                            given += 1;
                            let since = placed.open_since.unwrap_or(giver.open_since);
                            placed.open_since = Some(since.min(giver.open_since));
                        }
                    }
                    state.given += given;
                }
                if happens(state.odds.read_fails) {
                    return Err(failed());
                }
            }
            dawdle(3).await;
            Ok(())
        }
        .boxed()
    }

    fn claim(&self, term: Term) -> Answer<'_, ()> {
        async move {
            dawdle(3).await;
            let mut state = self.state();
            if state.is_member(term) {
                claim(&mut state, term.owner);
            }
            Ok(())
        }
        .boxed()
    }

    fn session(&self) -> Answer<'_, Box<dyn Session>> {
        async move {
            dawdle(2).await;
            let backend = self.state().open_backend();
            let session = Locker {
                memory: self.clone(),
                backend,
            };
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }

    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn Session>> {
        async move {
            dawdle(2).await;
            let mut state = self.state();
            let backend = state.open_backend();
            record(&mut state, term, backend);
            let session = Locker {
                memory: self.clone(),
                backend,
            };
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn Connection>> {
        async move {
            dawdle(2).await;
            let mut state = self.state();
            if happens(state.odds.read_fails) {
                return Err(failed());
            }
            let backend = state.open_backend();
            record(&mut state, term, backend);
            let connection = Lane {
                memory: self.clone(),
                backend,
                slot,
                term,
            };
            Ok(Box::new(connection) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn fate<'a>(
        &'a self,
        lost: &'a dyn Connection,
        slot: i16,
        term: Term,
        batch: i64,
        items: &'a [Item],
    ) -> Answer<'a, Fate> {
        async move {
            dawdle(2).await;
            self.state().end_backend(lost.backend());
            self.changed.notify_waiters();
            let row = (term.owner, slot);
            self.until(|state| (!state.busy.contains_key(&row)).then_some(()))
                .await;
            let state = self.state();
            if state.fenced(term) {
                return Ok(Fate::Fenced);
            }
            let there = state.batch_log.contains(&(term.owner, slot, batch));
            if there && !planted(Bug::DoubledCompletion) {
                let started = items.iter().flat_map(|item| &item.starts);
                let lost = started
                    .map(|start| start.run_id)
                    .filter(|id| !state.run_exists(*id));
                Ok(Fate::Committed(lost.collect()))
            } else {
                Ok(Fate::NotCommitted)
            }
        }
        .boxed()
    }
}

struct Batch {
    backend: i32,
    slot: i16,
    term: Term,
    number: i64,
    items: Vec<Item>,
    settled: Vec<Settled>,
}

struct Lane {
    memory: Memory,
    backend: i32,
    slot: i16,
    term: Term,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The server notices when what it has begun is done: a batch that is sent is not stopped.
        let mut state = self.memory.state();
        if !state.busy.values().any(|busy| *busy == self.backend) {
            state.end_backend(self.backend);
        }
    }
}

impl Connection for Lane {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        settled: &'a [Settled],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        let (reply, answer) = oneshot::channel();
        let request = Batch {
            backend: self.backend,
            slot: self.slot,
            term: self.term,
            number: batch,
            items: items.to_vec(),
            settled: settled.to_vec(),
        };
        tokio::spawn(self.memory.clone().serve(request, reply));
        async move {
            answer
                .await
                .unwrap_or_else(|_| Err(NotCommitted::Unknown(failed())))
        }
        .boxed()
    }

    fn backend(&self) -> i32 {
        self.backend
    }
}

/// The session with the owner's lock.
struct Locker {
    memory: Memory,
    backend: i32,
}

impl Drop for Locker {
    fn drop(&mut self) {
        self.memory.state().end_backend(self.backend);
        self.memory.changed.notify_waiters();
    }
}

impl Locker {
    fn alive(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.memory.state();
        if state.alive.contains(&self.backend) {
            Ok(state)
        } else {
            Err(failed())
        }
    }
}

impl Session for Locker {
    fn lock(&mut self, member: Uuid) -> Answer<'_, ()> {
        async move {
            let backend = self.backend;
            self.alive()?
                .locks
                .entry(member)
                .or_default()
                .push_back(backend);
            self.memory
                .until(|state| {
                    if state.alive.contains(&backend) {
                        let first = state.locks.get(&member).and_then(VecDeque::front);
                        (first == Some(&backend)).then_some(Ok(()))
                    } else {
                        Some(Err(failed()))
                    }
                })
                .await
        }
        .boxed()
    }

    fn try_lock(&mut self, member: Uuid) -> Answer<'_, bool> {
        async move {
            dawdle(2).await;
            let backend = self.backend;
            let mut state = self.alive()?;
            let queue = state.locks.entry(member).or_default();
            let free = queue.is_empty();
            if free {
                queue.push_back(backend);
            }
            Ok(free)
        }
        .boxed()
    }

    fn unlock(&mut self, member: Uuid) -> Answer<'_, ()> {
        async move {
            let backend = self.backend;
            if let Some(queue) = self.alive()?.locks.get_mut(&member) {
                queue.retain(|other| *other != backend);
            }
            self.memory.changed.notify_waiters();
            Ok(())
        }
        .boxed()
    }

    fn join<'a>(
        &'a mut self,
        member: Uuid,
        address: &'a str,
        lease: Duration,
    ) -> Answer<'a, (i64, Timestamp)> {
        async move {
            dawdle(2).await;
            let mut state = self.alive()?;
            state.epoch += 1;
            let (epoch, open_since) = (state.epoch, now().before(Duration::from_secs(1).into()));
            let joined = Member {
                address: address.to_owned(),
                epoch,
                lease_until: now().after(lease.into()),
                open_since,
                backends: BTreeSet::from([self.backend]),
            };
            state.members.insert(member, joined);
            claim(&mut state, member);
            Ok((epoch, open_since))
        }
        .boxed()
    }

    fn renew<'a>(
        &'a mut self,
        term: Term,
        lease: Duration,
        open_since: Timestamp,
        folded: &'a [i16],
    ) -> Answer<'a, Option<Timestamp>> {
        async move {
            dawdle(2).await;
            let now = {
                let mut state = self.alive()?;
                if !state.is_member(term) {
                    return Ok(None);
                }
                if let Some(member) = state.members.get_mut(&term.owner) {
                    member.lease_until = now().after(lease.into());
                    member.open_since = open_since;
                }
                now()
            };
            dawdle(2).await;
            let mut state = self.alive()?;
            for shard in folded {
                let placed = &mut state.shards[usize::try_from(*shard).unwrap_or(0)];
                if placed.member == Some(term.owner) {
                    placed.open_since = None;
                }
            }
            Ok(Some(now))
        }
        .boxed()
    }

    fn leave(&mut self, term: Term) -> Answer<'_, ()> {
        async move {
            dawdle(2).await;
            drop(self.alive()?);
            self.memory.remove(term.owner, term).await
        }
        .boxed()
    }

    fn delete_old_batches(&mut self, _term: Term) -> Answer<'_, ()> {
        async move { self.alive().map(|_| ()) }.boxed()
    }
}
