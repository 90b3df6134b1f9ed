//! Why the store failed.

use super::{
    sqlstate::{
        DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, QUERY_CANCELED, UNDEFINED_COLUMN, UNDEFINED_TABLE,
    },
    told,
};
use crate::{
    cause,
    limits::{CONNECTIONS_MAX, CONNECTIONS_MIN},
};

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
        most: u32,
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
    /// What is deleted is archived before, and this process has no archive.
    #[error(
        "runs of this database are archived before they are deleted, and this process has no archive: start it with --archive, or UPDATE cluster SET archives = false"
    )]
    NoArchive,
    /// A dump can't be read.
    #[error("{}: {problem}", path.display())]
    Dump {
        /// Which.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tile of the sealed log is gone, because all its runs are.
    #[error("tile {0} of the sealed log was deleted with its runs")]
    Pruned(u64),
    /// What was signed last can't be kept beside the key.
    #[error("{}: what was signed last can't be kept: {source}", path.display())]
    SealMemory {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
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

    /// Says whether another session has a lock for too long.
    pub(crate) fn is_of_a_lock(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(answer)) = self else {
            return false;
        };
        answer.code().as_deref() == Some(LOCK_NOT_AVAILABLE)
    }

    /// Says whether the server has waited for too long for what another session has, or each for the other.
    pub(crate) fn is_of_a_wait(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(answer)) = self else {
            return false;
        };
        matches!(
            answer.code().as_deref(),
            Some(QUERY_CANCELED | LOCK_NOT_AVAILABLE | DEADLOCK_DETECTED)
        )
    }

    /// Says whether what was read is not what it should be, or not there: a row, or a table.
    pub(crate) fn is_of_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. }
            | Self::Pruned(_)
            | Self::Sqlx(sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. }) => true,
            Self::Sqlx(sqlx::Error::Database(answer)) => matches!(
                answer.code().as_deref(),
                Some(UNDEFINED_TABLE | UNDEFINED_COLUMN)
            ),
            _ => false,
        }
    }

    /// Returns what it says and what its causes do, in one line.
    pub(crate) fn with_causes(&self) -> String {
        cause::all(self)
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
            Self::Pruned(_) => "SEAL_PRUNED",
            Self::SealMemory { .. } => "IO_FAILED",
            Self::Dump { .. } => "DUMP_UNREADABLE",
            Self::NoArchive => "ARCHIVE_FAILED",
            Self::NewerSchema(_) => "SCHEMA_TOO_NEW",
            Self::OtherSchema(_) | Self::Migrate(_) | Self::MayNotMigrate(_) => "MIGRATION_FAILED",
            Self::NoTables(_) => "NO_DATABASE",
            Self::NotUtf8(_) => "DATABASE_NOT_UNICODE",
            Self::OldServer(_) => "POSTGRES_TOO_OLD",
            Self::Address(_) => "DATABASE_ADDRESS_INVALID",
        }
    }
}
