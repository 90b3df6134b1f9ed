//! Brings the schema up to this binary's.

use sqlx::migrate::MigrateError;

use super::{Error, sqlstate::INSUFFICIENT_PRIVILEGE, told};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Brings the schema up to this binary's.
///
/// # Errors
/// [`Error::NewerSchema`] when the database has a migration that this binary does not know.
pub(crate) async fn migrate(pool: &sqlx::PgPool) -> Result<(), Error> {
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Error::NewerSchema(version)),
        Err(MigrateError::VersionMismatch(version)) => Err(Error::OtherSchema(version)),
        Err(MigrateError::Execute(error)) => Err(not_migrated(error, MigrateError::Execute)),
        Err(MigrateError::ExecuteMigration(error, version)) => {
            let of_this = |error| MigrateError::ExecuteMigration(error, version);
            Err(not_migrated(error, of_this))
        }
        Err(error) => Err(Error::Migrate(Box::new(error))),
    }
}

/// Tells why a migration failed that the database has refused.
fn not_migrated(error: sqlx::Error, migrating: impl Fn(sqlx::Error) -> MigrateError) -> Error {
    match told::plainly(error) {
        sqlx::Error::Database(told)
            if told
                .code()
                .is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) =>
        {
            Error::MayNotMigrate(told.message().to_owned())
        }
        error => Error::Migrate(Box::new(migrating(error))),
    }
}
