//! A database in memory, with the bad days of a real one.

mod lane;
mod locker;
mod tables;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt as _;
use history::{Event, Namespace, RunId, Timestamp, WorkflowId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    planted::{Bug, planted},
    world::{chance, dawdle, now},
};
use crate::{
    limits::PARKED_PAGE,
    store::{
        Answer, Connection, Error, Session, Store, Term,
        commit::{Item, OpenRow},
        fate::Fate,
        load::{Due, Loaded, Ns, Part, Window},
        ownership::{Placed, Seen, View},
    },
};
use lane::Lane;
use locker::Locker;
use tables::State;

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

    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)], bytes: u64) -> Answer<'a, Part> {
        self.read(move |state| {
            let mut part = Part::default();
            let mut sum = 0;
            for (_, run_id) in asked {
                sum += state.records(*run_id).len() as u64;
                if sum > bytes && part.read > 0 {
                    break;
                }
                part.read += 1;
                state.runs_read.push(*run_id);
                part.runs
                    .extend(state.fold(*run_id)?.map(|run| (ns(), run)));
            }
            Ok(part)
        })
    }

    fn events(&self, _shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        self.read(move |state| {
            let rows = state.history.get(&run_id).into_iter().flatten();
            let records = rows.flat_map(|row| super::checks::parse(&row.records));
            Ok(records
                .filter_map(|record| record.event().cloned())
                .collect())
        })
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
                state.claim(term.owner);
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
            state.record(term, backend);
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
            state.record(term, backend);
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
