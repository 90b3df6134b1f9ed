//! How the engine reaches its database.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    Connection as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::Error;

/// The connections for everything but commits. Few: readers, audits and maintenance wait for each other rather than load the server.
const POOL_CONNECTIONS: u32 = 8;
/// A pooled connection that does not answer for so long is half gone; another is taken.
const PING: Duration = Duration::from_secs(1);
/// The oldest supported server.
const OLDEST: i32 = 150_000;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// What a process that is frozen in the middle of a transaction may hold up the others: then Postgres ends its session. Members
/// wait for each other's changes of who owns what.
pub(super) const IDLE_IN_TRANSACTION: [(&str, &str); 1] =
    [("idle_in_transaction_session_timeout", "2s")];

/// Returns the pool of an owner, which opens its connections when they are needed.
pub(crate) fn owner_pool(url: &str) -> Result<sqlx::PgPool, Error> {
    Ok(pool_of(options(url)?.options(IDLE_IN_TRANSACTION)))
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let options =
        PgConnectOptions::from_str(url).map_err(|error| Error::Address(error.to_string()))?;
    Ok(options.application_name("coreason"))
}

fn pool_of(options: PgConnectOptions) -> sqlx::PgPool {
    PgPoolOptions::new()
        .max_connections(POOL_CONNECTIONS)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async move {
                let answered = tokio::time::timeout(PING, connection.ping()).await;
                Ok(matches!(answered, Ok(Ok(()))))
            })
        })
        .connect_lazy_with(options)
}

/// Opens the pool for everything but commits.
pub(crate) async fn pool(url: &str) -> Result<sqlx::PgPool, Error> {
    let pool = pool_of(options(url)?);
    super::reach::check(&pool).await?;
    let version = sqlx::query_scalar!(
        r#"SELECT current_setting('server_version_num')::integer AS "version!""#
    )
    .fetch_one(&pool)
    .await?;
    if version < OLDEST {
        return Err(Error::OldServer(version / 10_000));
    }
    Ok(pool)
}

/// Brings the schema up to this binary's.
///
/// # Errors
/// [`Error::NewerSchema`] when the database has a migration that this binary does not know.
pub(crate) async fn migrate(pool: &sqlx::PgPool) -> Result<(), Error> {
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => {
            Err(Error::NewerSchema(version))
        }
        Err(error) => Err(Error::Migrate(Box::new(error))),
    }
}

/// Opens a connection of tokio-postgres and drives it in the background until it ends.
pub(crate) async fn client(url: &str) -> Result<tokio_postgres::Client, Error> {
    let mut config =
        tokio_postgres::Config::from_str(url).map_err(|error| Error::Address(error.to_string()))?;
    config
        .application_name("coreason-committer")
        .connect_timeout(Duration::from_secs(5));
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a database connection ended"
            );
        }
    });
    Ok(client)
}
