//! Writes what an audit reads, as `pg_dump` would in plain text.

use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::Error;

/// The tables that an audit reads.
pub(crate) const TABLES: [&str; 8] = [
    "namespace",
    "execution",
    "history",
    "tombstone",
    "seal_tile",
    "seal_node",
    "seal_pruned",
    "checkpoint",
];

/// Writes all rows of these tables, as of one moment.
pub(crate) async fn dump(
    pool: &PgPool,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<(), DumpError> {
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(Error::from)?;
    // Before the snapshot: what another transaction moves meanwhile would be missing in it. And as it is read, whatever the role is set to.
    let first = format!(
        "LOCK TABLE {} IN ACCESS SHARE MODE; SET LOCAL datestyle = 'ISO'; SET LOCAL bytea_output = 'hex'; SET LOCAL timezone = 'UTC'",
        TABLES.join(", ")
    );
    let locked = sqlx::raw_sql(AssertSqlSafe(first)).execute(&mut *transaction);
    locked.await.map_err(Error::from)?;
    for table in TABLES {
        let columns = sqlx::query_scalar!(
            r#"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS "columns!"
               FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"#,
            table
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::from)?;
        let head = format!("COPY public.{table} ({columns}) FROM stdin;\n");
        out.write_all(head.as_bytes()).await?;
        let copy = format!("COPY (SELECT {columns} FROM {table}) TO STDOUT");
        let mut rows = transaction.copy_out_raw(&copy).await.map_err(Error::from)?;
        while let Some(bytes) = rows.try_next().await.map_err(Error::from)? {
            out.write_all(&bytes).await?;
        }
        drop(rows);
        out.write_all(b"\\.\n\n\n").await?;
    }
    out.write_all(b"--\n-- coreason database dump complete\n--\n")
        .await?;
    out.flush().await?;
    Ok(transaction.commit().await.map_err(Error::from)?)
}

/// Why a dump was not written.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// It can't be written.
    #[error("the dump can't be written: {0}")]
    Io(#[from] std::io::Error),
}
