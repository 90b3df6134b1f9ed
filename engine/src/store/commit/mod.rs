//! The commit path: one statement a batch, fenced, over arrays; `commit_batch` in `migrations/0001_core.sql` is the other half.

mod arguments;
mod column;
mod columns;
mod item;
mod outcome;

use std::time::Duration;

use foldhash::HashSet;
use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use history::RunId;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::{
    Error, Term, call,
    connect::Address,
    session::{Purpose, Session},
};
use crate::limits::{COMMIT_LOCK_WAIT, LEASE};
use crate::store::RunRef;
use arguments::Fence;
use columns::Columns;
pub use item::{
    AttemptRow, CloseRow, Facts, FactsRow, HistoryRow, Item, OpenChange, OpenRow, Part, StartRow,
};
pub use outcome::Conflicts;
pub(crate) use outcome::NotCommitted;

/// A connection that commits through one slot.
pub struct Connection {
    client: Client,
    fence: Fence,
    commit: Statement,
    /// How long it waits for a lock unless told.
    lock_wait: Duration,
}

impl Connection {
    /// Opens a connection to the database of a URL, as [`Self::open_at`] does.
    pub async fn open(url: &str, slot: i16, owner: Uuid, epoch: i64) -> Result<Self, Error> {
        let address = Address::find(url).await?;
        Self::open_at(&address, slot, Term { owner, epoch }, LEASE).await
    }

    /// Opens the connection and prepares its statement. A batch may take as long as a lease.
    pub(super) async fn open_at(
        address: &Address,
        slot: i16,
        term: Term,
        lease: Duration,
    ) -> Result<Self, Error> {
        let client = address
            .client(Session::Commit(term.owner, slot), Purpose::Commit(lease))
            .await?;
        let fence = Fence { slot, term };
        // The names are those of any batch.
        let commit = call::text(
            "commit_batch",
            &arguments::of(&fence, &0, &Columns::default()),
        );
        Ok(Self {
            commit: client.prepare(&format!("SELECT {commit}")).await?,
            client,
            fence,
            lock_wait: lease / COMMIT_LOCK_WAIT,
        })
    }

    /// Commits items as batch number `batch`, in one message and one transaction, if this process still owns the slot.
    ///
    /// # Errors
    /// An error that the server answered means that nothing was written; a lost connection leaves that open.
    pub async fn commit(
        &self,
        batch: i64,
        items: &[Item],
        delivered: &[RunRef],
    ) -> Result<Conflicts, tokio_postgres::Error> {
        let columns = Columns::of(items, delivered);
        let arguments = call::values(arguments::of(&self.fence, &batch, &columns));
        let kept = self.client.query_one(&self.commit, &arguments).await?;
        let kept: Option<Vec<Uuid>> = kept.get(0);
        let kept: HashSet<Uuid> = kept.into_iter().flatten().collect();
        let claimed = columns.claims.run_id.iter();
        let lost = claimed.filter(|run_id| !kept.contains(run_id));
        Ok(Conflicts(lost.map(|run_id| RunId(*run_id)).collect()))
    }
}

impl super::Connection for Connection {
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        delivered: &'a [RunRef],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>> {
        self.commit(batch, items, delivered)
            .map_err(NotCommitted::judged)
            .boxed()
    }

    fn wait_for_locks(&self, wait: Option<Duration>) -> BoxFuture<'_, ()> {
        let wait = wait.unwrap_or(self.lock_wait).as_millis();
        async move {
            let set = format!("SET lock_timeout = {wait}");
            // On a connection that is gone nothing is waited for.
            drop(self.client.batch_execute(&set).await);
        }
        .boxed()
    }

    fn tables_are_free(&self) -> BoxFuture<'_, bool> {
        /// The lock of whoever writes, for a moment. Whoever keeps a partition keeps what is above it as well.
        const TAKE: &str = "DO $$ BEGIN
            LOCK TABLE ONLY history, ONLY execution, ONLY current_run IN ROW EXCLUSIVE MODE;
        END $$";
        async { self.client.batch_execute(TAKE).await.is_ok() }.boxed()
    }
}
