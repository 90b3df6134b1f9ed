//! A database in memory, with the bad days of a real one.

mod failure;
mod fate;
mod feed;
mod lane;
mod lock;
mod locker;
mod membership;
mod memory;
mod tables;
mod transaction;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::FutureExt as _;
use history::{Event, RunId, Timestamp, WorkflowId};
use uuid::Uuid;

use super::{
    checks,
    namespace::ns,
    odds::{Instead, happens},
    planted::{Bug, planted},
    world::{chance, dawdle, now},
};
use crate::{
    limits::PARKED_PAGE,
    store::{
        Answer, Connection, RunRef, Session, Store, Term,
        commit::{Item, OpenRow},
        fate::Fate,
        load::{Due, Header, Loaded, Part, Window},
        namespaces::{Namespaces, Ns},
        ownership::{Seen, View},
        session,
        view::Move,
    },
};
use failure::failed;
use fate::Lost;
pub(super) use feed::KEPT as FEED_KEPT;
use lane::Lane;
use lock::Lock;
use locker::Locker;
pub(super) use memory::{LEASE, Memory};
pub(super) use tables::{Curse, State};

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

    fn load_all<'a>(&'a self, asked: &'a [RunRef], bytes: u64) -> Answer<'a, Part> {
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
                for RunRef { run_id, .. } in &asked[..most] {
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
                let records = rows.flat_map(|row| checks::parse(&row.records));
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

    fn hot<'a>(&'a self, shards: &'a [i16], open_since: Timestamp) -> Answer<'a, Vec<RunRef>> {
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
                shards.contains(&shard).then_some(RunRef { shard, run_id })
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

    fn give(&self, term: Term, moves: Vec<Move>, wait: Duration) -> Answer<'_, ()> {
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

    fn read_namespaces<'a>(&'a self, _namespaces: &'a Namespaces) -> Answer<'a, ()> {
        self.read(|_| Ok(()))
    }

    fn expire_feed(&self) -> Answer<'_, ()> {
        self.read(|state| {
            state.expire_feed();
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
            let lost = Lost {
                term,
                slot,
                batch,
                starts: starts.map(|start| start.run_id).collect(),
            };
            let found = if planted(Bug::HeldFate) {
                self.find_fate_slowly(lost).await?
            } else {
                let found = tokio::spawn(self.clone().find_fate(lost));
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
    /// Folds runs whose headers were read before, each as its rows are by now.
    fn fold(&self, headers: Vec<Header>) -> Answer<'_, Vec<(Ns, Loaded)>> {
        self.read(move |state| {
            let folded = headers.iter().map(|header| Ok((ns(), state.fold(header)?)));
            folded.collect()
        })
    }

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
