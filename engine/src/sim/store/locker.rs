//! The sessions that hold members' locks.

use crate::store::Joined;
use std::{sync::MutexGuard, time::Duration};

use futures::FutureExt as _;
use history::Timestamp;
use uuid::Uuid;

use super::{
    super::world::{dawdle, now},
    failure::failed,
    lock::Lock,
    memory::Memory,
    tables::{Member, State},
};
use crate::store::{Answer, Error, Session, Term};

/// A session that holds members' locks.
pub(super) struct Locker {
    pub(super) memory: Memory,
    pub(super) backend: i32,
}

impl Drop for Locker {
    fn drop(&mut self) {
        self.memory.end_backend(self.backend);
    }
}

impl Locker {
    fn alive(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.memory.state();
        state.statements += 1;
        if state.backends.contains_key(&self.backend) {
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
            self.alive()?.locks.entry(member).or_default().ask(backend);
            self.memory
                .until(|state| {
                    if state.backends.contains_key(&backend) {
                        let lock = state.locks.get(&member);
                        let first = lock.and_then(|lock| lock.queue.front());
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
            let lock = state.locks.entry(member).or_default();
            let free = lock.queue.is_empty();
            if free {
                lock.ask(backend);
            }
            Ok(free)
        }
        .boxed()
    }

    fn unlock(&mut self, member: Uuid) -> Answer<'_, ()> {
        async move {
            let backend = self.backend;
            if let Some(lock) = self.alive()?.locks.get_mut(&member) {
                lock.leave(backend);
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
    ) -> Answer<'a, Joined> {
        async move {
            let memory = &self.memory;
            dawdle(2).await;
            if let Some(known) = memory.witness.known() {
                let held = memory.state().held_of(known.term().owner);
                memory.compare(&known, &held);
            }
            let transaction = memory.begin().await;
            transaction.lock(Lock::Cluster).await?;
            let join = |state: &mut State| {
                state.epoch += 1;
                let joined = Member {
                    address: address.to_owned(),
                    epoch: state.epoch,
                    lease_until: now().after(lease.into()),
                    open_since: now().before(Duration::from_secs(1).into()),
                };
                let answer = Joined {
                    term: Term {
                        owner: member,
                        epoch: joined.epoch,
                    },
                    open_since: joined.open_since,
                };
                state.members.insert(member, joined);
                state.claim(member);
                answer
            };
            let joined = transaction.commit(join).await?;
            let held = memory.state().held_of(member);
            memory.witness.joined(joined.term, &held);
            Ok(joined)
        }
        .boxed()
    }

    fn renew(
        &mut self,
        term: Term,
        lease: Duration,
        open_since: Timestamp,
    ) -> Answer<'_, Option<Timestamp>> {
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
            Ok(Some(now))
        }
        .boxed()
    }

    fn leave(&mut self, term: Term) -> Answer<'_, ()> {
        async move {
            dawdle(2).await;
            self.memory.remove(term.owner, term).await
        }
        .boxed()
    }
}
