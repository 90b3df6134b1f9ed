//! The store in Postgres: what [`Store`] asks for, done by the queries of the files beside this one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, future::BoxFuture,
};
use history::{Event, EventId, RunId, Timestamp, WorkflowId};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Answer, Answers, NotCommitted, Store, Term,
    acknowledged::Acknowledged,
    commit::{self, Conflicts, Item, Settled},
    connect,
    load::{self, Loaded, Namespaces, Ns},
    ownership::{self as table, Fate, Seen},
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

    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)]) -> Answer<'a, Vec<(Ns, Loaded)>> {
        load::load_all(&self.pool, &self.namespaces, asked).boxed()
    }

    fn events(&self, shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>> {
        load::history_page(&self.pool, shard, run_id, EventId::NONE, usize::MAX).boxed()
    }

    fn hot(&self, open_since: Timestamp) -> Answers<'_, Vec<(Ns, Loaded)>> {
        load::select_hot(&self.pool, open_since)
            .and_then(|headers| load::fold_all(&self.pool, &self.namespaces, headers))
            .boxed()
    }

    fn parked_due(&self, before: Timestamp) -> Answer<'_, Vec<(i16, RunId, Timestamp)>> {
        load::select_parked_due(&self.pool, before).boxed()
    }

    fn prepare(&self, now: Timestamp) -> Answer<'_, ()> {
        async move { Ok(partition::ensure_partitions(&self.pool, now).await?) }.boxed()
    }

    fn owner(&self) -> Answer<'_, Seen> {
        async move { table::select_owner(&mut *self.pool.acquire().await?).await }.boxed()
    }

    fn end_owner(&self) -> Answer<'_, ()> {
        async move {
            let mut connection = self.pool.acquire().await?;
            table::end_recorded_backends(&mut connection).await?;
            table::end_idle_lock_holder(&mut connection, self.lease).await
        }
        .boxed()
    }

    fn session(&self) -> Answer<'_, Box<dyn super::Session>> {
        async move {
            let options = (*self.pool.connect_options())
                .clone()
                .application_name("coreason-owner");
            let session = Session {
                connection: PgConnection::connect_with(&options).await?,
                url: self.url.clone(),
                known: Arc::clone(&self.known),
            };
            Ok(Box::new(session) as Box<dyn super::Session>)
        }
        .boxed()
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn super::Connection>> {
        async move {
            let Term { owner, epoch } = term;
            let connection = commit::Connection::open(&self.url, slot, owner, epoch).await?;
            table::record_backend(&self.url, owner, epoch, connection.backend).await?;
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
            let fate = table::fate(&self.url, backend, slot, term, batch, &acknowledged).await?;
            match fate {
                Fate::Committed(_) => {
                    acknowledged.note(slot, batch);
                    Ok(Fate::Committed(table::conflicts(&self.url, items).await?))
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

/// The session that holds the owner's lock.
#[derive(Debug)]
struct Session {
    connection: PgConnection,
    url: String,
    known: Known,
}

impl super::Session for Session {
    fn lock(&mut self) -> Answer<'_, ()> {
        table::lock(&mut self.connection).boxed()
    }

    fn end_owner(&mut self) -> Answer<'_, ()> {
        table::end_recorded_backends(&mut self.connection).boxed()
    }

    fn take<'a>(
        &'a mut self,
        owner: Uuid,
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
            let taken = table::take(&mut self.connection, owner, address, lease).await?;
            let acknowledged = Arc::new(Acknowledged::at(&self.url, taken.0).await?);
            if let Ok(mut known) = self.known.lock() {
                *known = Some(acknowledged);
            }
            Ok(taken)
        }
        .boxed()
    }

    fn renew(
        &mut self,
        term: Term,
        lease: Duration,
        open_since: Timestamp,
    ) -> Answer<'_, Option<Timestamp>> {
        table::renew(&mut self.connection, term, lease, open_since).boxed()
    }

    fn release(&mut self, term: Term) -> Answer<'_, ()> {
        table::release(&mut self.connection, term).boxed()
    }

    fn delete_old_batches(&mut self) -> Answer<'_, ()> {
        table::delete_old_batches(&mut self.connection).boxed()
    }
}
