//! All SQL, a file per table or concern. The commit path uses tokio-postgres; the rest uses sqlx.
//!
//! The engine sees [`Store`], which is Postgres in what ships and memory in the simulation.

pub(crate) mod acknowledged;
mod address;
pub(crate) mod audit;
mod bridge;
pub(crate) mod check;
pub mod commit;
pub(crate) mod connect;
mod dial;
mod failover;
pub(crate) mod fate;
pub mod list;
pub(crate) mod load;
pub(crate) mod ownership;
pub(crate) mod partition;
mod password;
mod pooler;
pub(crate) mod postgres;
mod reach;
mod tls;
mod told;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use history::{Event, RunId, Timestamp, WorkflowId};
use uuid::Uuid;

use commit::{Conflicts, Item, Settled};
use fate::Fate;
use load::{Due, Loaded, Ns, Part, Window};
use ownership::View;

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_MIN};

/// What a server says of a statement that took too long. Postgres: `query_canceled`.
const QUERY_CANCELED: &str = "57014";

/// What it says of a lock that another session keeps for too long. Postgres: `lock_not_available`.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";
/// What it says to a role that has no right to what it asks for. Postgres: `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Says in words which database a URL means: its name, its servers and the user, not the password.
///
/// # Errors
/// When it is no URL of a database.
pub fn named(url: &str) -> Result<String, Error> {
    Ok(address::Target::parse(url)?.to_string())
}

/// What a store answers, in time.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// One process's time as a member: what the fence compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) owner: Uuid,
    pub(crate) epoch: i64,
}

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
    fn load_all<'a>(&'a self, asked: &'a [(i16, RunId)], bytes: u64) -> Answer<'a, Part>;
    /// Returns all durable events of a run.
    fn events(&self, shard: i16, run_id: RunId) -> Answer<'_, Vec<Arc<Event>>>;
    /// Returns the ids of the runs of these shards that a taker puts to work: open and not parked, or closed and still owing. Open runs
    /// that started at or after `open_since` need not have a row in `open_run`.
    fn hot<'a>(&'a self, shards: &'a [i16], open_since: Timestamp)
    -> Answer<'a, Vec<(i16, RunId)>>;
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
    fn give(&self, term: Term, moves: Vec<(i16, Uuid)>, wait: Duration) -> Answer<'_, ()>;
    /// Takes the shards that nobody owns.
    fn claim(&self, term: Term) -> Answer<'_, ()>;
    /// Notes that shards of this member are folded, and accounted for by what it last wrote as `open_since`.
    fn folded<'a>(&'a self, term: Term, shards: &'a [i16]) -> Answer<'a, ()>;
    /// Deletes the numbers of old batches.
    fn delete_old_batches(&self, term: Term) -> Answer<'_, ()>;
    /// Opens a session that can hold a member's lock; it ends with that member.
    fn session(&self, member: Uuid) -> Answer<'_, Box<dyn Session>>;
    /// Opens a session that can wait for another member's lock; it ends with this member.
    fn watcher(&self, term: Term) -> Answer<'_, Box<dyn Session>>;
    /// Opens a connection that commits through a slot; it ends with this member.
    fn connection(&self, slot: i16, term: Term) -> Answer<'_, Box<dyn Connection>>;
    /// Ends the connection of a slot whose answer was lost, and returns what became of its batch of items.
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
    /// Becomes a member, and the owner of what nobody owns. Returns the epoch, and since when this member's open runs may have no
    /// row in `open_run`.
    fn join<'a>(
        &'a mut self,
        member: Uuid,
        address: &'a str,
        lease: Duration,
    ) -> Answer<'a, (i64, Timestamp)>;
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
        settled: &'a [Settled],
    ) -> BoxFuture<'a, Result<Conflicts, NotCommitted>>;
    /// Waits so long for a lock from now on; as long as ever where nothing is told. What fails is told by the next commit.
    fn wait_for_locks(&self, wait: Option<Duration>) -> BoxFuture<'_, ()>;
    /// Says whether nobody keeps a whole table that each workflow needs.
    fn tables_are_free(&self) -> BoxFuture<'_, bool>;
}

/// Why a batch has no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCommitted {
    /// Another process owns the slot. Nothing was written.
    #[error("another process owns the slot")]
    Fenced,
    /// The database refuses the data of some item. Nothing was written.
    #[error("the database refuses the data: {0}")]
    Poison(String),
    /// The database failed at this batch as it may at a single row: at damage where that row is to go, at somebody's trigger, by
    /// running out of time. Nothing was written.
    #[error("the database failed at the batch")]
    Doubtful(#[source] Error),
    /// Another session keeps a lock that the batch waits for: of a row of it, or of a table. Nothing was written.
    #[error("another session keeps a lock that the batch waits for")]
    Locked(#[source] Error),
    /// Nothing was written, and the same batch may succeed when tried again.
    #[error("the batch failed")]
    TryAgain(#[source] Error),
    /// Nobody knows whether it was committed.
    #[error("the answer was lost")]
    Unknown(#[source] Error),
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database or the way to it failed.
    #[error("the database failed")]
    Driver(#[from] tokio_postgres::Error),
    /// Nobody answers there, or no database.
    #[error("the database at {server} can't be reached: {problem}")]
    Unreachable {
        /// Its host and port, or its socket.
        server: String,
        /// What came instead of an answer.
        problem: String,
    },
    /// The server does not let this user into this database.
    #[error("the database at {server} refuses the login: {problem}")]
    Refused {
        /// Its host and port, or its socket.
        server: String,
        /// What it says.
        problem: String,
    },
    /// The same, met by sqlx.
    #[error("the database failed")]
    Sqlx(#[source] sqlx::Error),
    /// All connections for this were busy, or another one could not be opened.
    #[error(
        "no connection to the database was free or could be opened in time: it refuses more of them (max_connections, or CONNECTION LIMIT of the \
         role or the database), or does not answer"
    )]
    NoConnection,
    /// The database has no connections for a process.
    #[error(
        "the database lets this role open {most} connections, and a process needs {CONNECTIONS_MIN}, and keeps up to {CONNECTIONS_MAX} under load: \
         raise {limit}"
    )]
    FewConnections {
        /// How many it may open.
        most: i32,
        /// What says so.
        limit: String,
    },
    /// No answer came.
    #[error("the database did not answer in time")]
    Silent,
    /// A stored row can't be read.
    #[error("table {table}, {row}: {problem}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// Which row.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A row of history is not what was committed.
    #[error("table history, {row}: {problem}")]
    Altered {
        /// Which row.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A run is of a namespace that is not there.
    #[error(
        "table execution has runs of namespace {id}, which table namespace has not; put it back"
    )]
    UnknownNamespace {
        /// Its number.
        id: i16,
    },
    /// The database is newer than this binary.
    #[error(
        "the database has migration {0}, which this binary does not know; run the newer binary"
    )]
    NewerSchema(i64),
    /// A migration of the same number made something else.
    #[error(
        "migration {0} of this database was made by another build of this program, which had another schema; open it with that build, or \
         take another database: a data directory (--data-dir), or an address (--database-url)"
    )]
    OtherSchema(i64),
    /// A migration failed.
    #[error("migration failed")]
    Migrate(#[source] Box<sqlx::migrate::MigrateError>),
    /// The role has no right to make the schema.
    #[error(
        "the role may not make or change the engine's tables: {0}; connect as the role that owns them, or where there are none yet, \
         GRANT CREATE ON SCHEMA public TO it"
    )]
    MayNotMigrate(String),
    /// The role has no right to read what is audited.
    #[error(
        "the role may not read what is audited: {0}; GRANT pg_read_all_data TO it, or connect as the role that owns the tables"
    )]
    MayNotRead(String),
    /// No engine has ever been opened on the database.
    #[error(
        "there are no tables of an engine in database {0}: name another database, or, if it is the one, open it first with coreason dev, \
         which makes them"
    )]
    NoTables(String),
    /// The database can't hold every text.
    #[error(
        "the text of the database is {0}, which can't hold all that workflows may say; make one with CREATE DATABASE … ENCODING 'UTF8' \
         TEMPLATE template0"
    )]
    NotUtf8(String),
    /// The server is too old.
    #[error("the server is Postgres {0}; the oldest supported is 15")]
    OldServer(i32),
    /// The address of the database can't be used.
    #[error("the database address can't be used: {0}")]
    Address(String),
    /// The server is not one that is encrypted and trusted as the address asks for.
    #[error("there is no safe connection to {host}")]
    Tls {
        /// Which one.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Of the servers that can be reached, none takes writes.
    #[error(
        "{0} is a standby, which takes no writes; name the server that does, or all of them in one address"
    )]
    Standby(String),
    /// The server takes writes, and was replaced by a standby that was promoted.
    #[error(
        "{0} was replaced: this process knows a standby that was promoted since; if that one is gone for good, start the processes anew"
    )]
    Replaced(String),
    /// A session may speak to a server that was replaced.
    #[error("another server is the database now, or another time of the same one")]
    FailedOver,
    /// Something between this process and the database gives one session to several clients.
    #[error(
        "a pooler that does not keep sessions apart stands before the database: connect to Postgres itself, or let the pooler keep a server connection for each client (pgbouncer: pool_mode = session)"
    )]
    Pooled,
    /// The way for the connections of sqlx can't be opened.
    #[error("connections to the database can't be carried")]
    Bridge(#[source] std::io::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // What came instead of a connection a pool does not tell.
            sqlx::Error::PoolTimedOut => Self::NoConnection,
            error => Self::Sqlx(told::plainly(error)),
        }
    }
}

impl Error {
    /// Says whether the server has answered that it did nothing, for a reason that passes: a lock that another one keeps, say.
    pub(crate) fn passes(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(answer)) = self else {
            return false;
        };
        let code = answer.code().unwrap_or_default();
        code == QUERY_CANCELED || matches!(code.get(..2), Some("40" | "53" | "55"))
    }

    /// Says whether the server has waited for too long for what another session has.
    pub(crate) fn is_of_a_wait(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(answer)) = self else {
            return false;
        };
        matches!(
            answer.code().as_deref(),
            Some(QUERY_CANCELED | LOCK_NOT_AVAILABLE)
        )
    }

    /// Returns what it says and what its causes do, in one line.
    pub(crate) fn with_causes(&self) -> String {
        let mut said = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        said
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FewConnections { .. } => "DATABASE_CONNECTIONS_FEW",
            Self::Driver(_)
            | Self::Sqlx(_)
            | Self::NoConnection
            | Self::Silent
            | Self::Standby(_)
            | Self::Replaced(_)
            | Self::FailedOver
            | Self::Bridge(_) => "DATABASE_FAILED",
            Self::Unreachable { .. } => "DATABASE_UNREACHABLE",
            Self::Refused { .. } | Self::MayNotRead(_) => "DATABASE_REFUSED",
            Self::Tls { .. } => "DATABASE_TLS_FAILED",
            Self::Pooled => "DATABASE_POOLED",
            Self::Corrupt { .. } | Self::Altered { .. } | Self::UnknownNamespace { .. } => {
                "CORRUPT_ROW"
            }
            Self::NewerSchema(_) => "SCHEMA_TOO_NEW",
            Self::OtherSchema(_) | Self::Migrate(_) | Self::MayNotMigrate(_) => "MIGRATION_FAILED",
            Self::NoTables(_) => "NO_DATABASE",
            Self::NotUtf8(_) => "DATABASE_NOT_UNICODE",
            Self::OldServer(_) => "POSTGRES_TOO_OLD",
            Self::Address(_) => "DATABASE_ADDRESS_INVALID",
        }
    }
}
