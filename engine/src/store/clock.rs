//! What time it is on the server.

use history::Timestamp;
use sqlx::PgExecutor;

use super::Error;

/// Returns what time it is there.
pub(crate) async fn now(executor: impl PgExecutor<'_>) -> Result<Timestamp, Error> {
    let micros = sqlx::query_scalar!(
        r#"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "now!""#
    )
    .fetch_one(executor)
    .await?;
    Ok(Timestamp(micros))
}
