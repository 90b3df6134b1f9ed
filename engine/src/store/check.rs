//! The checks of what must always hold: they live in the database, as `audit_check` (`migrations/0003_audit_checks.sql`).

use sqlx::PgPool;

use super::Error;

/// Postgres: a text that is no moment, or one out of range.
const NO_MOMENT: [&str; 2] = ["22007", "22008"];

/// A rule and what breaks it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) problems: i64,
    pub(crate) examples: serde_json::Value,
}

/// Checks the runs that were open at a moment or later; the moment is a text that Postgres understands. One statement, so one
/// snapshot. `None` when it is no moment.
pub(crate) async fn check(
    pool: &PgPool,
    since: &str,
    shown: i32,
) -> Result<Option<Vec<Checked>>, Error> {
    let checked = sqlx::query_as!(
        Checked,
        r#"SELECT name AS "name!", meaning AS "meaning!", problems AS "problems!", examples AS "examples!"
           FROM audit_check($1::text::timestamptz, $2)"#,
        since,
        shown,
    )
    .fetch_all(pool)
    .await;
    match checked {
        Err(sqlx::Error::Database(error))
            if error
                .code()
                .is_some_and(|code| NO_MOMENT.contains(&code.as_ref())) =>
        {
            Ok(None)
        }
        checked => Ok(Some(checked?)),
    }
}
