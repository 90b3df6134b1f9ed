//! What the engine asks of a store.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use history::{Event, RunId, Timestamp, WorkflowId};
use uuid::Uuid;

use super::{
    Error, Joined, RunRef, Term,
    commit::{Conflicts, Item, NotCommitted},
    fate::Fate,
    load::{Due, Loaded, Part, Window},
    namespaces::{Namespaces, Ns},
    ownership::View,
    view::Move,
};

/// What a store answers, in time.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A database, as the engine sees it.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// Returns a run by its id, or the run that a workflow id means now.
    fn load<'a>(
        &'a self,
        namespace: &'a Ns,
        shard: i16,
        workflow_id: &'a WorkflowId,
        run_id: Option<RunId>,
    ) -> Answer<'a, Option<Loaded>>;
    /// Returns runs by their ids, in that order, as many as have so many stored bytes together, and the first whatever it has. Those
    /// that are not there are left out.
    fn load_all<'a>(&'a self, asked: &'a [RunRef], bytes: u64) -> Answer<'a, Part>;
    /// Returns all durable events of a run.
    fn events(&self, shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>>;
    /// Returns the ids of the runs of these shards that a taker puts to work: open and not parked, or closed with something undelivered. Open runs
    /// that started at or after `open_since` need not have a row in `open_run`.
    fn hot<'a>(&'a self, shards: &'a [i16], open_since: Timestamp) -> Answer<'a, Vec<RunRef>>;
    /// Returns the next parked runs that are due, in the order of their deadlines, at most [`PARKED_PAGE`] of them.
    ///
    /// [`PARKED_PAGE`]: crate::limits::PARKED_PAGE
    fn parked_due<'a>(&'a self, window: &'a Window) -> Answer<'a, Vec<Due>>;
    /// Sees to it that there is room for what is written from now on.
    fn prepare(&self, now: Timestamp) -> Answer<'_, ()>;

    /// Returns who is there, and who owns what if that has changed since the version that is known.
    fn look(&self, known: Option<i64>) -> Answer<'_, View>;
    /// Ends everything that a member has under way, and whoever else was given its lock and does nothing.
    fn end(&self, member: Uuid) -> Answer<'_, ()>;
    /// Ends everything that a member has under way and its membership, and gives its shards to the others. Without effect where
    /// `by` is no member.
    fn fence(&self, member: Uuid, by: Term) -> Answer<'_, ()>;
    /// Gives shards of this member to others, those that are members still. Waits for each lock no longer than `wait`.
    fn give(&self, term: Term, moves: Vec<Move>, wait: Duration) -> Answer<'_, ()>;
    /// Takes the shards that nobody owns.
    fn claim(&self, term: Term) -> Answer<'_, ()>;
    /// Notes that shards of this member are folded, and accounted for by what it last wrote as `open_since`.
    fn folded<'a>(&'a self, term: Term, shards: &'a [i16]) -> Answer<'a, ()>;
    /// Reads the namespaces again, with what they have declared.
    fn read_namespaces<'a>(&'a self, namespaces: &'a Namespaces) -> Answer<'a, ()>;
    /// Deletes old batches of the feed.
    fn expire_feed(&self) -> Answer<'_, ()>;
    /// Opens a session that can hold a member's lock; it ends with that member.
    fn session(&self, member: Uuid) -> Answer<'_, Box<dyn Session>>;
    /// Opens a session that can wait for another member's lock; it ends with this member.
    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn Session>>;
    /// Opens a connection that commits through a slot; it ends with this member.
    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn Connection>>;
    /// Ends the connection of a slot whose answer was lost, and returns the outcome of its batch of items.
    fn fate<'a>(&'a self, slot: i16, term: Term, batch: i64, items: &'a [Item])
    -> Answer<'a, Fate>;
}

/// A session that holds members' locks, or waits for one. When it ends they are free.
pub(crate) trait Session: Send {
    /// Waits for a member's lock, for as long as it takes.
    fn lock(&mut self, member: Uuid) -> Answer<'_, ()>;
    /// Takes a member's lock if nobody has it.
    fn try_lock(&mut self, member: Uuid) -> Answer<'_, bool>;
    /// Lets a member's lock go.
    fn unlock(&mut self, member: Uuid) -> Answer<'_, ()>;
    /// Becomes a member, and the owner of what nobody owns.
    fn join<'a>(
        &'a mut self,
        member: Uuid,
        address: &'a str,
        lease: Duration,
    ) -> Answer<'a, Joined>;
    /// Renews the lease and returns the database's time; `None` when this is no member any more.
    fn renew(
        &mut self,
        term: Term,
        lease: Duration,
        open_since: Timestamp,
    ) -> Answer<'_, Option<Timestamp>>;
    /// Ends the membership and gives the shards to the others.
    fn leave(&mut self, term: Term) -> Answer<'_, ()>;
}

/// A connection that commits through one slot.
pub(crate) trait Connection: Send + Sync {
    /// Commits items as batch number `batch`, if this process still owns the slot.
    fn commit<'a>(
        &'a self,
        batch: i64,
        items: &'a [Item],
        delivered: &'a [RunRef],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>>;
    /// Waits so long for a lock from now on; as long as ever where nothing is told. What fails is told by the next commit.
    fn wait_for_locks(&self, wait: Option<Duration>) -> BoxFuture<'_, ()>;
    /// Says whether nobody keeps a whole table that each workflow needs.
    fn tables_are_free(&self) -> BoxFuture<'_, bool>;
}
