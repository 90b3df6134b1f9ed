//! The store in Postgres: what [`Store`] asks for, done by the queries of the files beside this one.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use history::{Event, EventId, RunId, Timestamp, WorkflowId};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Answer, Answers, Store, Term,
    commit::{self, Item},
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
}

impl Postgres {
    /// Returns the store of a database; `pool` serves what only reads.
    pub(crate) fn new(url: String, pool: PgPool, namespaces: Namespaces) -> Self {
        Self {
            url,
            pool,
            namespaces,
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

    fn workflow_of(&self, shard: i16, run_id: RunId) -> Answer<'_, Option<(Ns, WorkflowId)>> {
        async move {
            let workflow = load::workflow_of(&self.pool, shard, run_id).await?;
            Ok(workflow
                .and_then(|(id, workflow_id)| Some((self.namespaces.by_id(id)?, workflow_id))))
        }
        .boxed()
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
        async move { table::end_recorded_backends(&mut *self.pool.acquire().await?).await }.boxed()
    }

    fn session(&self) -> Answer<'_, Box<dyn super::Session>> {
        async move {
            let options = (*self.pool.connect_options())
                .clone()
                .application_name("coreason-owner");
            let session = Session(PgConnection::connect_with(&options).await?);
            Ok(Box::new(session) as Box<dyn super::Session>)
        }
        .boxed()
    }

    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn super::Connection>> {
        async move {
            let Term { owner, epoch } = term;
            let connection = commit::Connection::open(&self.url, slot, owner, epoch).await?;
            table::record_backend(&self.url, owner, epoch, connection.backend).await?;
            Ok(Box::new(connection) as Box<dyn super::Connection>)
        }
        .boxed()
    }

    fn fate<'a>(
        &'a self,
        lost: &'a dyn super::Connection,
        slot: i16,
        term: Term,
        (batch, before): (i64, i64),
        items: &'a [Item],
    ) -> Answer<'a, Fate> {
        async move {
            let fate = table::fate(&self.url, lost.backend(), slot, term, batch, before).await?;
            match fate {
                Fate::Committed(_) => {
                    Ok(Fate::Committed(table::conflicts(&self.url, items).await?))
                }
                fate => Ok(fate),
            }
        }
        .boxed()
    }
}

/// The session that holds the owner's lock.
#[derive(Debug)]
struct Session(PgConnection);

impl super::Session for Session {
    fn lock(&mut self) -> Answer<'_, ()> {
        table::lock(&mut self.0).boxed()
    }

    fn end_owner(&mut self) -> Answer<'_, ()> {
        table::end_recorded_backends(&mut self.0).boxed()
    }

    fn take<'a>(
        &'a mut self,
        owner: Uuid,
        address: &'a str,
        lease: std::time::Duration,
    ) -> Answer<'a, (i64, Timestamp)> {
        table::take(&mut self.0, owner, address, lease).boxed()
    }

    fn renew(
        &mut self,
        term: Term,
        lease: std::time::Duration,
        open_since: Timestamp,
    ) -> Answer<'_, Option<Timestamp>> {
        table::renew(&mut self.0, term, lease, open_since).boxed()
    }

    fn release(&mut self, term: Term) -> Answer<'_, ()> {
        table::release(&mut self.0, term).boxed()
    }

    fn delete_old_batches(&mut self) -> Answer<'_, ()> {
        table::delete_old_batches(&mut self.0).boxed()
    }
}
