//! The table `member_secret`.

use uuid::Uuid;

use super::Error;

/// Returns what members show each other. A database that came out of a dump without it gets one: the dump was made by a role to which
/// row security did not show it.
pub(crate) async fn secret(pool: &sqlx::PgPool) -> Result<Uuid, Error> {
    if let Some(secret) = select_secret(pool).await? {
        return Ok(secret);
    }
    if !is_hidden(pool).await? {
        insert_secret(pool).await?;
    }
    // Of several members one has written it, and all read it.
    select_secret(pool).await?.ok_or_else(|| Error::Corrupt {
        table: "member_secret",
        row: "its only one".to_owned(),
        problem: "is not shown to this role; connect as the one that owns the tables".to_owned(),
    })
}

async fn select_secret(pool: &sqlx::PgPool) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!("SELECT secret FROM member_secret")
        .fetch_optional(pool)
        .await?)
}

/// Says whether row security hides the secret from this role, be it there or not.
async fn is_hidden(pool: &sqlx::PgPool) -> Result<bool, Error> {
    Ok(
        sqlx::query_scalar!(r#"SELECT row_security_active('member_secret') AS "active!""#)
            .fetch_one(pool)
            .await?,
    )
}

/// Writes a new secret, if there is none.
async fn insert_secret(pool: &sqlx::PgPool) -> Result<(), Error> {
    sqlx::query!("INSERT INTO member_secret DEFAULT VALUES ON CONFLICT (id) DO NOTHING")
        .execute(pool)
        .await?;
    Ok(())
}
