//! Ends the sessions of members.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Error, session};
use crate::limits::SESSION_END_MAX;

/// Ends the sessions of a member, so that nothing of it is still under way, and waits until they are gone: all are told before any is
/// waited for. Those of other roles are none of a member, whatever they call themselves, and asking for their end would be an error.
pub(crate) async fn end_sessions(connection: &mut PgConnection, member: Uuid) -> Result<(), Error> {
    let give_up_at = Instant::now() + SESSION_END_MAX;
    loop {
        // One that is told again while it ends does not mind.
        let told = sqlx::query_scalar!(
            r#"SELECT count(pg_terminate_backend(a.pid)) AS "told!"
               FROM pg_stat_activity a
               WHERE starts_with(a.application_name, $1) AND a.datname = current_database() AND a.pid <> pg_backend_pid()
                 AND pg_has_role(a.usesysid, 'USAGE')"#,
            session::all_of(member),
        )
        .fetch_one(&mut *connection)
        .await?;
        if told == 0 || Instant::now() >= give_up_at {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ends a session that was given a lock and has done nothing since, for so long: its process is gone, or can't be reached.
pub(crate) async fn end_idle_lock_holder(
    connection: &mut PgConnection,
    lock: i64,
    idle: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        r#"SELECT pg_terminate_backend(a.pid, $3) AS "ended!"
           FROM pg_locks l
           JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
           JOIN pg_stat_activity a ON a.pid = l.pid
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
             AND (l.classid::bigint << 32) + l.objid::bigint = $1
             AND a.application_name LIKE 'coreason%' AND pg_has_role(a.usesysid, 'USAGE')
             AND a.state = 'idle' AND a.state_change < clock_timestamp() - $2 * interval '1 second'"#,
        lock,
        idle.as_secs_f64(),
        i64::try_from(SESSION_END_MAX.as_millis()).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}
