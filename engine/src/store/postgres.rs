//! The store in Postgres: what [`Store`] asks for, done by the queries of the files beside this one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use history::{Event, EventId, RunId, Timestamp, WorkflowId};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Answer, Error, NotCommitted, Store, Term,
    acknowledged::Acknowledged,
    commit::{self, Conflicts, Item, Settled},
    connect,
    fate::{self, Fate},
    load::{self, Due, Loaded, Namespaces, Ns, Part, Window},
    ownership::{self as table, View},
    partition,
};

/// A database of Postgres.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    pool: PgPool,
    namespaces: Namespaces,
    lease: Duration,
    known: Known,
}

/// What the latest term of this process was told to be committed.
type Known = Arc<Mutex<Option<Arc<Acknowledged>>>>;

fn known(known: &Known) -> Option<Arc<Acknowledged>> {
    known.lock().ok()?.clone()
}

impl Postgres {
    /// Returns the store of a database; `pool` serves what only reads.
    pub(crate) fn new(url: String, pool: PgPool, namespaces: Namespaces, lease: Duration) -> Self {
        Self {
            url,
            pool,
            namespaces,
            lease,
            known: Known::default(),
        }
    }
}

impl Postgres {
    async fn open_session(&self) -> Result<Session, Error> {
        let options = (*self.pool.connect_options())
            .clone()
            .application_name("coreason-owner")
            // One that waits for a lock and is dropped ends, rather than being given the lock at last.
            .options([("client_connection_check_interval", "1s")])
            .options(connect::IDLE_IN_TRANSACTION);
        Ok(Session {
            connection: PgConnection::connect_with(&options).await?,
            url: self.url.clone(),
            known: Arc::clone(&self.known),
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
        load::load(&self.pool, namespace, shard, workflow_id, run_id).boxed()
    }

    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)], bytes: u64) -> Answer<'a, Part> {
        load::load_all(&self.pool, &self.namespaces, asked, bytes).boxed()
    }

    fn events(&self, shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        load::history_page(&self.pool, shard, run_id, EventId::NONE, usize::MAX).boxed()
    }

    fn hot<'a>(
        &'a self,
        shards: &'a [i16],
        open_since: Timestamp,
    ) -> Answer<'a, Vec<(i16, RunId)>> {
        load::select_hot(&self.pool, shards, open_since).boxed()
    }

    fn parked_due<'a>(&'a self, window: &'a Window) -> Answer<'a, Vec<Due>> {
        load::select_parked_due(&self.pool, window).boxed()
    }

    fn prepare(&self, now: Timestamp) -> Answer<'_, ()> {
        async move { Ok(partition::ensure_partitions(&self.pool, now).await?) }.boxed()
    }

    fn look(&self, known: Option<i64>) -> Answer<'_, View> {
        async move { table::look(&mut *self.pool.acquire().await?, known).await }.boxed()
    }

    fn end(&self, member: Uuid) -> Answer<'_, ()> {
        async move {
            let mut connection = self.pool.acquire().await?;
            table::end_recorded_backends(&mut connection, member).await?;
            let lock = table::lock_of(member);
            table::end_idle_lock_holder(&mut connection, lock, self.lease).await
        }
        .boxed()
    }

    fn fence(&self, member: Uuid, by: Term) -> Answer<'_, ()> {
        async move {
            let mut connection = self.pool.acquire().await?;
            table::end_recorded_backends(&mut connection, member).await?;
            table::fence(&mut connection, member, by).await
        }
        .boxed()
    }

    fn give(&self, term: Term, moves: Vec<(i16, Uuid)>) -> Answer<'_, ()> {
        async move { table::give(&mut *self.pool.acquire().await?, term, &moves).await }.boxed()
    }

    fn claim(&self, term: Term) -> Answer<'_, ()> {
        async move { table::claim_free(&mut *self.pool.acquire().await?, term).await }.boxed()
    }

    fn session(&self) -> Answer<'_, Box<dyn super::Session>> {
        async move { Ok(Box::new(self.open_session().await?) as Box<dyn super::Session>) }.boxed()
    }

    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn super::Session>> {
        async move {
            let mut session = self.open_session().await?;
            table::record_session(&mut session.connection, term).await?;
            Ok(Box::new(session) as Box<dyn super::Session>)
        }
        .boxed()
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn super::Connection>> {
        async move {
            let Term { owner, epoch } = term;
            let connection = commit::Connection::open(&self.url, slot, owner, epoch).await?;
            table::record_backend(&self.url, term, connection.backend).await?;
            let lane = Lane {
                connection,
                slot,
                acknowledged: known(&self.known),
            };
            Ok(Box::new(lane) as Box<dyn super::Connection>)
        }
        .boxed()
    }

    fn fate<'a>(
        &'a self,
        lost: &'a dyn super::Connection,
        slot: i16,
        term: Term,
        batch: i64,
        items: &'a [Item],
    ) -> Answer<'a, Fate> {
        async move {
            let Some(acknowledged) = known(&self.known) else {
                return Ok(Fate::Fenced);
            };
            let backend = lost.backend();
            let fate = fate::of(&self.url, backend, slot, term, batch, &acknowledged).await?;
            match fate {
                Fate::Committed(_) => {
                    acknowledged.note(slot, batch);
                    Ok(Fate::Committed(fate::conflicts(&self.url, items).await?))
                }
                fate => Ok(fate),
            }
        }
        .boxed()
    }
}

/// A connection that commits, and what it was told.
struct Lane {
    connection: commit::Connection,
    slot: i16,
    acknowledged: Option<Arc<Acknowledged>>,
}

impl super::Connection for Lane {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        settled: &'a [Settled],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        let answer = super::Connection::commit(&self.connection, batch, items, settled);
        answer
            .inspect_ok(move |_| {
                if let Some(acknowledged) = &self.acknowledged {
                    acknowledged.note(self.slot, batch);
                }
            })
            .boxed()
    }

    fn backend(&self) -> i32 {
        self.connection.backend
    }
}

/// A session that holds members' locks.
#[derive(Debug)]
struct Session {
    connection: PgConnection,
    url: String,
    known: Known,
}

impl super::Session for Session {
    fn lock(&mut self, member: Uuid) -> Answer<'_, ()> {
        table::lock(&mut self.connection, table::lock_of(member)).boxed()
    }

    fn try_lock(&mut self, member: Uuid) -> Answer<'_, bool> {
        table::try_lock(&mut self.connection, table::lock_of(member)).boxed()
    }

    fn unlock(&mut self, member: Uuid) -> Answer<'_, ()> {
        table::unlock(&mut self.connection, table::lock_of(member)).boxed()
    }

    fn join<'a>(
        &'a mut self,
        member: Uuid,
        address: &'a str,
        lease: Duration,
    ) -> Answer<'a, (i64, Timestamp)> {
        async move {
            if let Some(before) = known(&self.known) {
                // The alarm is all there is to do: everything is read anyway.
                before
                    .is_missing(&connect::client(&self.url).await?)
                    .await?;
            }
            let joined = table::join(&mut self.connection, member, address, lease).await?;
            let term = Term {
                owner: member,
                epoch: joined.0,
            };
            let acknowledged = Arc::new(Acknowledged::at(&self.url, term).await?);
            if let Ok(mut known) = self.known.lock() {
                *known = Some(acknowledged);
            }
            Ok(joined)
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
            let now = table::renew(&mut self.connection, term, lease, open_since).await?;
            if now.is_some() && !folded.is_empty() {
                table::folded(&mut self.connection, term, folded).await?;
            }
            Ok(now)
        }
        .boxed()
    }

    fn leave(&mut self, term: Term) -> Answer<'_, ()> {
        table::leave(&mut self.connection, term).boxed()
    }

    fn delete_old_batches(&mut self, term: Term) -> Answer<'_, ()> {
        fate::delete_old(&mut self.connection, term.owner).boxed()
    }
}
