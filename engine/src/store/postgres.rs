//! The store in Postgres: what [`Store`] asks for, done by the queries of the files beside this one.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use history::{Event, EventId, RunId, Timestamp, WorkflowId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Answer, Error, Joined, RunRef, Store, Term,
    acknowledged::{Acknowledged, Witness},
    commit::{self, Conflicts, Item, NotCommitted},
    connect::Address,
    events,
    fate::{self, Fate, Lost},
    feed, hot,
    load::{self, Due, Loaded, Part, Window},
    locks, membership,
    namespaces::{Namespaces, Ns},
    ownership::{self, View},
    parked, partition,
    session::{self, Pool},
    terminate, view,
    view::Move,
    way::failover::Since,
};

/// A database of Postgres.
#[derive(Debug)]
pub(crate) struct Postgres {
    address: Address,
    reads: PgPool,
    /// Who owns what: a long read must not keep a member from being replaced.
    control: PgPool,
    namespaces: Namespaces,
    lease: Duration,
    witness: Witness,
}

impl Postgres {
    /// Returns the store of a database.
    pub(crate) fn new(address: Address, namespaces: Namespaces, lease: Duration) -> Self {
        Self {
            reads: address.pool(Pool::Read),
            control: address.pool(Pool::Control),
            address,
            namespaces,
            lease,
            witness: Witness::default(),
        }
    }

    async fn open_session(&self, session: session::Session) -> Result<Session, Error> {
        let open = || self.address.session(session);
        let (connection, since) = self.address.open(open).await?;
        Ok(Session {
            connection,
            since,
            control: self.control.clone(),
            witness: self.witness.clone(),
        })
    }
}

impl Store for Postgres {
    fn load<'a>(
        &'a self,
        namespace: &'a Ns,
        shard: i16,
        workflow_id: &'a WorkflowId,
        run_id: Option<RunId>,
    ) -> Answer<'a, Option<Loaded>> {
        load::load(&self.reads, namespace, shard, workflow_id, run_id).boxed()
    }

    fn load_all<'a>(&'a self, asked: &'a [RunRef], bytes: u64) -> Answer<'a, Part> {
        load::load_all(&self.reads, &self.namespaces, asked, bytes).boxed()
    }

    fn events(&self, shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        events::history_page(&self.reads, shard, run_id, EventId::NONE, usize::MAX).boxed()
    }

    fn hot<'a>(&'a self, shards: &'a [i16], open_since: Timestamp) -> Answer<'a, Vec<RunRef>> {
        hot::select_hot(&self.reads, shards, open_since).boxed()
    }

    fn parked_due<'a>(&'a self, window: &'a Window) -> Answer<'a, Vec<Due>> {
        parked::select_parked_due(&self.reads, window).boxed()
    }

    fn prepare(&self, now: Timestamp) -> Answer<'_, ()> {
        async move { Ok(partition::ensure_partitions(&self.reads, now).await?) }.boxed()
    }

    fn look(&self, known: Option<i64>) -> Answer<'_, View> {
        async move { view::look(&mut *self.control.acquire().await?, known).await }.boxed()
    }

    fn end(&self, member: Uuid) -> Answer<'_, ()> {
        async move {
            let mut connection = self.control.acquire().await?;
            terminate::end_sessions(&mut connection, member).await?;
            let lock = locks::lock_of(member);
            terminate::end_idle_lock_holder(&mut connection, lock, self.lease).await
        }
        .boxed()
    }

    fn fence(&self, member: Uuid, by: Term) -> Answer<'_, ()> {
        async move {
            let mut connection = self.control.acquire().await?;
            terminate::end_sessions(&mut connection, member).await?;
            membership::remove(&mut connection, member, by).await
        }
        .boxed()
    }

    fn give(&self, term: Term, moves: Vec<Move>, wait: Duration) -> Answer<'_, ()> {
        async move { ownership::give(&mut *self.control.acquire().await?, term, &moves, wait).await }
            .boxed()
    }

    fn claim(&self, term: Term) -> Answer<'_, ()> {
        async move { ownership::claim_free(&mut *self.control.acquire().await?, term).await }
            .boxed()
    }

    fn folded<'a>(&'a self, term: Term, shards: &'a [i16]) -> Answer<'a, ()> {
        async move { ownership::folded(&mut *self.control.acquire().await?, term, shards).await }
            .boxed()
    }

    fn read_namespaces<'a>(&'a self, namespaces: &'a Namespaces) -> Answer<'a, ()> {
        namespaces.read_again(&self.reads).boxed()
    }

    fn expire_feed(&self) -> Answer<'_, ()> {
        async move {
            while feed::expire(&mut *self.control.acquire().await?).await? {}
            Ok(())
        }
        .boxed()
    }

    fn session(&self, member: Uuid) -> Answer<'_, Box<dyn super::Session>> {
        async move {
            self.address.meet_all().await;
            let session = self.open_session(session::Session::Lease(member)).await?;
            Ok(Box::new(session) as Box<dyn super::Session>)
        }
        .boxed()
    }

    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn super::Session>> {
        async move {
            let session = session::Session::Watch(term.owner);
            let session = self.open_session(session).await?;
            Ok(Box::new(session) as Box<dyn super::Session>)
        }
        .boxed()
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn super::Connection>> {
        async move {
            let lease = self.lease;
            let open = || commit::Connection::open_at(&self.address, slot, term, lease);
            let (connection, since) = self.address.open(open).await?;
            let lane = Lane {
                connection,
                since,
                slot,
                acknowledged: self.witness.acknowledged(),
            };
            Ok(Box::new(lane) as Box<dyn super::Connection>)
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
            let lost = Lost {
                term,
                slot,
                batch,
                items,
            };
            let fate = fate::of(&self.address, &self.witness, lost).await?;
            if let (Fate::Committed(_), Some(acknowledged)) = (&fate, self.witness.acknowledged()) {
                acknowledged.note(slot, batch);
            }
            Ok(fate)
        }
        .boxed()
    }
}

/// A connection that commits, and what it was told.
struct Lane {
    connection: commit::Connection,
    since: Since,
    slot: i16,
    acknowledged: Option<Arc<Acknowledged>>,
}

impl super::Connection for Lane {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        delivered: &'a [RunRef],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        if let Err(failed_over) = self.since.check() {
            // Nothing is sent to a server that was replaced; the latest one is asked what it holds.
            return async { Err(NotCommitted::Unknown(failed_over)) }.boxed();
        }
        async move {
            let conflicts =
                super::Connection::commit(&self.connection, batch, items, delivered).await?;
            // By a server that was replaced meanwhile it may have been.
            self.since.check().map_err(NotCommitted::Unknown)?;
            if let Some(acknowledged) = &self.acknowledged {
                acknowledged.note(self.slot, batch);
            }
            Ok(conflicts)
        }
        .boxed()
    }

    fn wait_for_locks(&self, wait: Option<Duration>) -> BoxFuture<'_, ()> {
        super::Connection::wait_for_locks(&self.connection, wait)
    }

    fn tables_are_free(&self) -> BoxFuture<'_, bool> {
        super::Connection::tables_are_free(&self.connection)
    }
}

/// A session that holds members' locks and renews a lease. What may wait for other members is done on other connections.
#[derive(Debug)]
struct Session {
    connection: PgConnection,
    since: Since,
    control: PgPool,
    witness: Witness,
}

impl super::Session for Session {
    fn lock(&mut self, member: Uuid) -> Answer<'_, ()> {
        async move {
            locks::lock(&mut self.connection, locks::lock_of(member)).await?;
            self.since.check()
        }
        .boxed()
    }

    fn try_lock(&mut self, member: Uuid) -> Answer<'_, bool> {
        async move {
            let locked = locks::try_lock(&mut self.connection, locks::lock_of(member)).await?;
            // At a server that was replaced nobody else has it.
            self.since.check()?;
            Ok(locked)
        }
        .boxed()
    }

    fn unlock(&mut self, member: Uuid) -> Answer<'_, ()> {
        locks::unlock(&mut self.connection, locks::lock_of(member)).boxed()
    }

    fn join<'a>(
        &'a mut self,
        member: Uuid,
        address: &'a str,
        lease: Duration,
    ) -> Answer<'a, Joined> {
        async move {
            let mut control = self.control.acquire().await?;
            if let Some(known) = self.witness.known() {
                let held = membership::held(&mut control, known.term().owner).await?;
                // The alarm is all there is to do: everything is read anyway.
                known.compare(&held);
            }
            let joined = membership::join(&mut control, member, address, lease).await?;
            self.witness
                .joined(joined.term, &membership::held(&mut control, member).await?);
            self.since.check()?;
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
            self.since.check()?;
            membership::renew(&mut self.connection, term, lease, open_since).await
        }
        .boxed()
    }

    fn leave(&mut self, term: Term) -> Answer<'_, ()> {
        async move { membership::remove(&mut *self.control.acquire().await?, term.owner, term).await }
            .boxed()
    }
}
