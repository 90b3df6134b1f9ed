//! The table `search_attribute`: what a namespace has declared.

use history::SearchAttributeType;
use sqlx::PgPool;

use super::Error;
use crate::limits::SEARCH_ATTRIBUTES_DECLARED_MAX;

/// The outcome of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It was not there.
    New,
    /// It was there, with this type.
    Before(SearchAttributeType),
    /// The namespace has as many as it may.
    TooMany,
}

/// Declares a search attribute.
pub(crate) async fn declare(
    pool: &PgPool,
    namespace: i16,
    name: &str,
    ty: SearchAttributeType,
) -> Result<Declared, Error> {
    let made = sqlx::query!(
        "INSERT INTO search_attribute (namespace, name, type)
         SELECT $1, $2, $3
         WHERE (SELECT count(*) FROM search_attribute s WHERE s.namespace = $1) < $4
         ON CONFLICT (namespace, name) DO NOTHING",
        namespace,
        name,
        ty.number(),
        i64::from(SEARCH_ATTRIBUTES_DECLARED_MAX),
    )
    .execute(pool)
    .await?;
    if made.rows_affected() > 0 {
        return Ok(Declared::New);
    }
    let before = sqlx::query_scalar!(
        "SELECT type FROM search_attribute WHERE namespace = $1 AND name = $2",
        namespace,
        name,
    )
    .fetch_optional(pool)
    .await?;
    Ok(before
        .and_then(SearchAttributeType::numbered)
        .map_or(Declared::TooMany, Declared::Before))
}

/// Takes a declaration back; says whether there was one. Runs keep their values, and are not found by them any more.
pub(crate) async fn delete(pool: &PgPool, namespace: i16, name: &str) -> Result<bool, Error> {
    let deleted = sqlx::query!(
        "DELETE FROM search_attribute WHERE namespace = $1 AND name = $2",
        namespace,
        name,
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() > 0)
}
