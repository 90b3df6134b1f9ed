//! The sessions that hold members' locks.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::MutexGuard,
    time::Duration,
};

use futures::FutureExt as _;
use history::Timestamp;
use uuid::Uuid;

use super::{
    super::world::{dawdle, now},
    Memory, State, failed,
    tables::Member,
};
use crate::store::{Answer, Error, Session, Term};

/// A session that holds members' locks.
pub(super) struct Locker {
    pub(super) memory: Memory,
    pub(super) backend: i32,
}

impl Drop for Locker {
    fn drop(&mut self) {
        self.memory.state().end_backend(self.backend);
        self.memory.changed.notify_waiters();
    }
}

impl Locker {
    fn alive(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.memory.state();
        state.statements += 1;
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
            state.claim(member);
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
            if folded.is_empty() {
                return Ok(Some(now));
            }
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
