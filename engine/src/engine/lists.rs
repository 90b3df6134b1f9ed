//! Lists of runs, and how many there are.

use std::{sync::Arc, time::Duration};

use history::Namespace;
use sqlx::PgPool;

use crate::{
    Engine, Error, ListPage, ListRequest, WorkflowCount,
    engine::untaken,
    limits::{LIST_TIMEOUT, PING_TIMEOUT},
    query::{self, Attribute, Type, built_in_attribute},
    store::{namespaces::Declared, visibility},
};

/// How long what a list needs may take while the database counts as away: it gives up by itself a little later.
const PATIENCE: Duration = LIST_TIMEOUT.saturating_sub(PING_TIMEOUT);

impl Engine {
    /// Returns a page of runs: of everything that was committed before it was asked for, by whichever process. A member that does not answer in
    /// time is not waited for: what its runs wait for is then not known.
    ///
    /// # Errors
    /// When the query is none, takes too long, or the lists are being made anew.
    pub async fn list(
        &self,
        namespace: &Namespace,
        request: &ListRequest,
    ) -> Result<ListPage, Error> {
        let ns = self.inner.namespaces.get(namespace)?;
        let declared = self.declared(ns.id, &request.query).await?;
        let query = parse(&request.query, &declared)?;
        let order = visibility::Ordered::of(&query.order, &declared).ok_or_else(|| {
            let by = query
                .order
                .first()
                .map(|order| order.attribute.name.clone());
            Error::ListOrder(by.unwrap_or_default())
        })?;
        let list = visibility::Cursor::list(ns.id, &request.query);
        if (request.cursor.as_ref()).is_some_and(|cursor| !cursor.is_of(list)) {
            return Err(Error::ListCursor);
        }
        let of = (ns.id, &*declared);
        let mut page = self
            .read_lists(|lists| visibility::list(lists, of, &query, order, request))
            .await?;
        let role = self.inner.role.borrow().clone();
        untaken::name(role, &self.inner.peers, &ns, &mut page.runs).await;
        Ok(page)
    }

    /// Counts the runs of a list.
    ///
    /// # Errors
    /// As [`Self::list`] does.
    pub async fn count(&self, namespace: &Namespace, query: &str) -> Result<i64, Error> {
        let ns = self.inner.namespaces.get(namespace)?;
        let declared = self.declared(ns.id, query).await?;
        let query = parse(query, &declared)?;
        if !query.order.is_empty() {
            return Err(Error::CountOrder);
        }
        let of = (ns.id, &*declared);
        self.read_lists(|lists| visibility::count(lists, of, &query))
            .await
    }

    /// Returns how many runs a namespace has, by type, queue and status, and how many began and ended lately: of everything that was committed
    /// before it was asked for.
    ///
    /// # Errors
    /// As [`Self::list`] does.
    pub async fn counts(&self, namespace: &Namespace) -> Result<Vec<WorkflowCount>, Error> {
        let ns = self.inner.namespaces.get(namespace)?;
        self.read_lists(|lists| visibility::counts(lists, ns.id))
            .await
    }

    /// Has all lists and counts made anew from the runs themselves. Until that is done, which takes some seconds for each million, lists are refused.
    pub async fn rebuild_lists(&self) -> Result<(), Error> {
        visibility::rebuild(&self.inner.visibility.pool).await?;
        tracing::info!("the lists are made anew");
        Ok(())
    }

    /// Reads something of the lists when they have what is committed by now. What was read while they were made anew is not whole, and is read again.
    async fn read_lists<'a, T, R>(&'a self, read: impl Fn(&'a PgPool) -> R) -> Result<T, Error>
    where
        R: Future<Output = Result<T, sqlx::Error>>,
    {
        let lists = &self.inner.lists;
        loop {
            let builds = self
                .unless_away(self.inner.visibility.catch_up(), PATIENCE)
                .await??;
            let read = async {
                let read = read(lists).await?;
                Ok((read, visibility::builds(lists).await?))
            };
            let (read, builds_now) = self
                .unless_away(read, PATIENCE)
                .await?
                .map_err(|error| visibility::failed(error, lists))?;
            if builds_now == Some(builds) {
                return Ok(read);
            }
        }
    }

    /// Returns what a namespace has declared, read again where a query may name something of it.
    async fn declared(&self, id: i16, query: &str) -> Result<Arc<Declared>, Error> {
        let namespaces = &self.inner.namespaces;
        if parse(query, &Declared::new()).is_err() {
            namespaces.read_again(&self.inner.reads).await?;
        }
        Ok(namespaces.attributes(id))
    }
}

fn parse(query: &str, declared: &Declared) -> Result<query::Query, Error> {
    let attribute = |name: &str| {
        built_in_attribute(name).or_else(|| {
            Some(Attribute {
                name: name.to_owned(),
                ty: Type::from(declared.get(name)?.ty),
            })
        })
    };
    Ok(query::parse(query, &attribute)?)
}
