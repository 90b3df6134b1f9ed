//! Whether a database will do: for an engine, or for an audit.

use super::{Error, connect::Address, session::Pool, sqlstate::INSUFFICIENT_PRIVILEGE};
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_MIN};

/// The oldest supported server.
const OLDEST: i32 = 150_000;

/// Sees that an engine can work on a database.
///
/// # Errors
/// [`Error::Standby`] and [`Error::NotUtf8`].
pub(crate) async fn check(address: &Address, pool: &sqlx::PgPool) -> Result<(), Error> {
    let database = sqlx::query!(
        r#"SELECT current_setting('server_encoding') AS "encoding!", pg_is_in_recovery() AS "standby!""#
    )
    .fetch_one(pool)
    .await?;
    if database.standby {
        return Err(Error::Standby(address.target().servers()));
    }
    if database.encoding != "UTF8" {
        return Err(Error::NotUtf8(database.encoding));
    }
    Ok(())
}

/// Sees that a database has the tables of an engine, and what audits them.
///
/// # Errors
/// [`Error::NoTables`], and [`Error::MayNotRead`] where they are in a schema that this role may not use.
pub(crate) async fn check_tables(address: &Address, pool: &sqlx::PgPool) -> Result<(), Error> {
    let tables = sqlx::query!(
        r#"SELECT to_regclass('history') IS NOT NULL AND to_regclass('audit_rule') IS NOT NULL AS "seen!",
                  (SELECT min(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relname = 'audit_rule' AND NOT has_schema_privilege(n.oid, 'USAGE')) AS hidden_in"#
    )
    .fetch_one(pool)
    .await?;
    match tables.hidden_in {
        _ if tables.seen => Ok(()),
        Some(schema) => Err(Error::MayNotRead(format!(
            "permission denied for schema {schema}"
        ))),
        None => Err(Error::NoTables(address.target().to_string())),
    }
}

/// Returns what an audit is refused with instead, if it is that the role may not read.
pub(crate) fn if_unread(error: Error) -> Error {
    match error {
        Error::Sqlx(sqlx::Error::Database(told))
            if told
                .code()
                .is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) =>
        {
            Error::MayNotRead(told.message().to_owned())
        }
        error => error,
    }
}

/// Opens the pool for what takes as long as it does, and sees that the server is new enough.
pub(crate) async fn pool(address: &Address) -> Result<sqlx::PgPool, Error> {
    let pool = address.pool(Pool::Whole);
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

/// Returns how many connections a process of this role may open.
///
/// # Errors
/// [`Error::FewConnections`].
pub(crate) async fn connections(pool: &sqlx::PgPool) -> Result<u32, Error> {
    let limit = sqlx::query!(
        r#"SELECT l.most AS "most!", l.name AS "name!"
           FROM pg_roles r, pg_database d, LATERAL (VALUES
               ('max_connections of the server',
                current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
                    - coalesce(current_setting('reserved_connections', true)::integer, 0)),
               (format('CONNECTION LIMIT of role %I', r.rolname), CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit END),
               (format('CONNECTION LIMIT of database %I', d.datname), CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit END)
           ) AS l (name, most)
           WHERE r.rolname = session_user AND d.datname = current_database() AND l.most IS NOT NULL
           ORDER BY l.most LIMIT 1"#
    )
    .fetch_one(pool)
    .await?;
    // Fewer than none are none.
    let most = u32::try_from(limit.most).unwrap_or(0);
    if most < CONNECTIONS_MIN {
        let limit = limit.name;
        return Err(Error::FewConnections { most, limit });
    }
    if most < CONNECTIONS_MAX {
        tracing::warn!(
            most,
            limit = limit.name,
            keeps = CONNECTIONS_MAX,
            "the database lets this role open fewer connections than a process keeps under load: reads will wait for each other"
        );
    }
    Ok(most)
}
