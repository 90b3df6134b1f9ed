//! All SQL, a file per table or concern. The commit path and cold loads use tokio-postgres; the rest uses sqlx.

pub(crate) mod audit;
pub mod commit;
pub(crate) mod connect;
pub mod list;
pub(crate) mod load;
pub(crate) mod ownership;
pub(crate) mod partition;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database or the way to it failed.
    #[error("the database failed")]
    Driver(#[from] tokio_postgres::Error),
    /// The same, met by sqlx.
    #[error("the database failed")]
    Sqlx(#[from] sqlx::Error),
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
    /// The database is newer than this binary.
    #[error(
        "the database has migration {0}, which this binary does not know; run the newer binary"
    )]
    NewerSchema(i64),
    /// A migration failed.
    #[error("migration failed")]
    Migrate(#[source] Box<sqlx::migrate::MigrateError>),
    /// The server is too old.
    #[error("the server is Postgres {0}; the oldest supported is 15")]
    OldServer(i32),
    /// The address of the database can't be used.
    #[error("the database address can't be used: {0}")]
    Address(String),
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Driver(_) | Self::Sqlx(_) => "DATABASE_FAILED",
            Self::Corrupt { .. } => "CORRUPT_ROW",
            Self::NewerSchema(_) => "SCHEMA_TOO_NEW",
            Self::Migrate(_) => "MIGRATION_FAILED",
            Self::OldServer(_) => "POSTGRES_TOO_OLD",
            Self::Address(_) => "DATABASE_ADDRESS_INVALID",
        }
    }
}
