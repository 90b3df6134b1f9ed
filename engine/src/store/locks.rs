//! Advisory locks: a member holds one as long as its session lives, and whoever waits for it knows when that has ended.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;

/// Returns the number of the advisory lock that a member's session holds; a killed member lets go of it at once.
pub(crate) fn lock_of(member: Uuid) -> i64 {
    i64::from_be_bytes(member.as_u64_pair().0.to_be_bytes())
}

/// Waits for an advisory lock, for as long as it takes, by turns of the session's `lock_timeout`. It is held by the session.
pub(crate) async fn lock(connection: &mut PgConnection, lock: i64) -> Result<(), Error> {
    while !wait_for_lock(connection, lock).await? {}
    Ok(())
}

/// Waits for an advisory lock for one turn; says whether the session has it.
async fn wait_for_lock(connection: &mut PgConnection, lock: i64) -> Result<bool, Error> {
    Ok(
        sqlx::query_scalar!(r#"SELECT wait_for_lock($1) AS "locked!""#, lock)
            .fetch_one(connection)
            .await?,
    )
}

/// Takes an advisory lock if nobody has it.
pub(crate) async fn try_lock(connection: &mut PgConnection, lock: i64) -> Result<bool, Error> {
    Ok(
        sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, lock)
            .fetch_one(connection)
            .await?,
    )
}

/// Lets an advisory lock go.
pub(crate) async fn unlock(connection: &mut PgConnection, lock: i64) -> Result<(), Error> {
    sqlx::query!("SELECT pg_advisory_unlock($1)", lock)
        .fetch_one(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::{
        super::{
            database,
            session::{Purpose, Session},
        },
        *,
    };

    /// Returns the oldest transaction that the watcher's snapshot still sees, if it waits with one.
    async fn snapshot(client: &tokio_postgres::Client, watcher: &str) -> Option<i64> {
        let row = client
            .query_opt(
                "SELECT backend_xmin::text::bigint FROM pg_stat_activity
                 WHERE application_name = $1 AND wait_event_type = 'Lock'",
                &[&watcher],
            )
            .await
            .unwrap();
        row.and_then(|row| row.get(0))
    }

    #[tokio::test]
    async fn who_waits_for_a_member_s_lock_does_not_keep_an_old_snapshot() {
        const LOCK: i64 = 7;
        let address = database::fresh().await;
        let mut holder = address.session(Session::Lease(Uuid::nil())).await.unwrap();
        lock(&mut holder, LOCK).await.unwrap();
        let mine = Session::Watch(Uuid::new_v4());
        let mut watcher = address.session(mine).await.unwrap();
        sqlx::query("SET lock_timeout = 50")
            .execute(&mut watcher)
            .await
            .unwrap();
        let watching = tokio::spawn(async move { lock(&mut watcher, LOCK).await });
        let client = address
            .client(Session::Fate(Uuid::nil(), 0), Purpose::Lock)
            .await
            .unwrap();
        let moves_on = async {
            let mut first = None;
            loop {
                let now = snapshot(&client, &mine.name()).await;
                first = first.or(now);
                if now > first {
                    break;
                }
                // Each takes a number.
                client
                    .batch_execute("SELECT pg_current_xact_id()")
                    .await
                    .unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), moves_on)
            .await
            .expect("its snapshot moves on");
        assert!(!watching.is_finished());
        unlock(&mut holder, LOCK).await.unwrap();
        watching.await.unwrap().unwrap();
    }
}
