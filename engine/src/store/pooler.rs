//! Whether something stands between us and Postgres that gives one session to several clients. All that the engine does with locks
//! and settings of a session would be somebody else's then.

use super::{Error, way::Way};

/// How often each of two sessions is looked at.
const LOOKS: usize = 3;

/// Refuses a pooler that breaks the state of sessions: two sessions that are open at once have two processes of Postgres, and each keeps
/// what it was told.
pub(super) async fn refuse(way: &Way) -> Result<(), Error> {
    let sessions = [way.log_in("coreason").await?, way.log_in("coreason").await?];
    for (n, session) in sessions.iter().enumerate() {
        // Without a prepared statement: the name of one may be another client's by then.
        session
            .simple_query(&format!("SET coreason.session = '{n}'"))
            .await?;
    }
    let mut processes = [const { None }; 2];
    for look in 0..2 * LOOKS {
        let n = look % 2;
        let sql = "SELECT pg_backend_pid(), current_setting('coreason.session', true)";
        let rows = sessions[n].simple_query(sql).await?;
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let (process, told) = row.map_or((None, None), |row| (row.get(0), row.get(1)));
        let known = processes[n].get_or_insert_with(|| process.map(str::to_owned));
        if told != Some(n.to_string().as_str()) || known.as_deref() != process {
            return Err(Error::Pooled);
        }
    }
    if processes[0] == processes[1] {
        return Err(Error::Pooled);
    }
    Ok(())
}
