//! The tables `cluster`, `member`, `shard_owner` and `slot`: who may write what.

use std::time::Duration;

use history::Timestamp;
use sqlx::{PgConnection, PgTransaction};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Error, Term, acknowledged::Held, connect};
use crate::{
    limits::{FORMER_MEMBERS_KEPT, SESSION_END_MAX},
    placement,
};

/// A member, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: Uuid,
    pub(crate) address: String,
    pub(crate) expired: bool,
}

/// A shard's owner, and since when its open runs may have no row in `open_run`, where the owner has not folded them yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) shard: i16,
    pub(crate) member: Option<Uuid>,
    pub(crate) open_since: Option<Timestamp>,
}

/// Who is there and who owns what.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) version: i64,
    /// By id.
    pub(crate) members: Vec<Seen>,
    /// All shards; `None` when nothing has changed since the version that was asked about.
    pub(crate) shards: Option<Vec<Placed>>,
}

/// Returns the number of the advisory lock that a member's session holds; a killed member lets go of it at once.
pub(crate) fn lock_of(member: Uuid) -> i64 {
    i64::from_be_bytes(member.as_u64_pair().0.to_be_bytes())
}

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

/// Returns who is there, and who owns what if that has changed since `known`.
pub(crate) async fn look(connection: &mut PgConnection, known: Option<i64>) -> Result<View, Error> {
    let rows = sqlx::query!(
        r#"SELECT c.version, m.id AS "id?", m.address AS "address?",
                  m.lease_until < clock_timestamp() AS "expired?"
           FROM cluster c
           LEFT JOIN member m ON true
           ORDER BY m.id"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let version = rows.first().map_or(0, |row| row.version);
    let shards = if known == Some(version) {
        None
    } else {
        Some(select_shards(connection).await?)
    };
    let members = rows.into_iter().filter_map(|row| {
        Some(Seen {
            id: row.id?,
            address: row.address?,
            expired: row.expired?,
        })
    });
    Ok(View {
        version,
        members: members.collect(),
        shards,
    })
}

async fn select_shards(connection: &mut PgConnection) -> Result<Vec<Placed>, Error> {
    let rows = sqlx::query!(
        r#"SELECT shard, member, (extract(epoch FROM greatest(open_since, 'epoch')) * 1000000)::bigint AS open_since,
                  open_since IS NULL AS "folded!"
           FROM shard_owner
           ORDER BY shard"#
    )
    .fetch_all(connection)
    .await?;
    let placed = rows.into_iter().map(|row| Placed {
        shard: row.shard,
        member: row.member,
        // `greatest` passes over NULL.
        open_since: row.open_since.filter(|_| !row.folded).map(Timestamp),
    });
    Ok(placed.collect())
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
            connect::all_of(member),
        )
        .fetch_one(&mut *connection)
        .await?;
        if told == 0 || Instant::now() >= give_up_at {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns which database this is, and what it holds of a process that is or was a member.
pub(crate) async fn held(connection: &mut PgConnection, member: Uuid) -> Result<Held, Error> {
    let row = sqlx::query!(
        r#"SELECT system AS "system!", timeline AS "timeline!", latest_epoch AS "epoch!", batches FROM held_of($1)"#,
        member,
    )
    .fetch_one(connection)
    .await?;
    Ok(Held {
        system: row.system,
        timeline: row.timeline,
        epoch: row.epoch,
        batches: row.batches,
    })
}

/// Ends a session that was given a lock and has done nothing since, for so long: its process is gone, or can't be reached.
pub(crate) async fn end_idle_lock_holder(
    connection: &mut PgConnection,
    lock: i64,
    idle: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        r#"SELECT pg_terminate_backend(a.pid, 5000) AS "ended!"
           FROM pg_locks l
           JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
           JOIN pg_stat_activity a ON a.pid = l.pid
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
             AND (l.classid::bigint << 32) + l.objid::bigint = $1
             AND a.application_name LIKE 'coreason%' AND pg_has_role(a.usesysid, 'USAGE')
             AND a.state = 'idle' AND a.state_change < clock_timestamp() - $2 * interval '1 second'"#,
        lock,
        idle.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Makes a process a member, which gets the shards that nobody owns. Returns its epoch, and since when its own open runs may
/// have no row in `open_run`.
pub(crate) async fn join(
    connection: &mut PgConnection,
    member: Uuid,
    address: &str,
    lease: Duration,
) -> Result<(i64, Timestamp), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    let epoch = sqlx::query_scalar!(
        "UPDATE cluster SET epoch = epoch + 1, version = version + 1 RETURNING epoch"
    )
    .fetch_one(&mut *transaction)
    .await?;
    let open_since = sqlx::query_scalar!(
        r#"INSERT INTO member (id, address, epoch, lease_until, open_since)
           VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second', clock_timestamp() - interval '1 second')
           RETURNING (extract(epoch FROM open_since) * 1000000)::bigint AS "open_since!""#,
        member,
        address,
        epoch,
        lease.as_secs_f64(),
    )
    .fetch_one(&mut *transaction)
    .await?;
    // After "cluster", against the order of locks: nobody else knows these rows yet, so nobody waits for them.
    sqlx::query!(
        "INSERT INTO slot (member, n, epoch) SELECT $1, generate_series(0, slots_of_member() - 1), $2",
        member,
        epoch
    )
    .execute(&mut *transaction)
    .await?;
    claim(&mut transaction, member).await?;
    transaction.commit().await?;
    Ok((epoch, Timestamp(open_since)))
}

async fn claim(transaction: &mut PgTransaction<'_>, member: Uuid) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE shard_owner SET member = $1 WHERE member IS NULL",
        member
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Announces a change of members or owners of shards, which keeps all others away until the transaction ends. Says whether the
/// process that asks is a member still.
async fn announce(transaction: &mut PgTransaction<'_>, by: Term) -> Result<bool, Error> {
    sqlx::query!("UPDATE cluster SET version = version + 1")
        .execute(&mut **transaction)
        .await?;
    let member = sqlx::query!(
        "SELECT FROM member WHERE id = $1 AND epoch = $2 FOR KEY SHARE",
        by.owner,
        by.epoch
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(member.is_some())
}

/// Gives the shards that nobody owns to a member.
pub(crate) async fn claim_free(connection: &mut PgConnection, term: Term) -> Result<(), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    if announce(&mut transaction, term).await? {
        claim(&mut transaction, term.owner).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Gives shards of a member to others, those that are members still.
pub(crate) async fn give(
    connection: &mut PgConnection,
    term: Term,
    moves: &[(i16, Uuid)],
    wait: Duration,
) -> Result<(), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    // Zero would be without end.
    let wait = wait.as_millis().max(1).to_string();
    sqlx::query_scalar!("SELECT set_config('lock_timeout', $1, true)", wait)
        .fetch_one(&mut *transaction)
        .await?;
    if announce(&mut transaction, term).await? {
        update_owners(&mut transaction, term.owner, moves).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn update_owners(
    transaction: &mut PgTransaction<'_>,
    from: Uuid,
    moves: &[(i16, Uuid)],
) -> Result<(), Error> {
    let (shards, members): (Vec<i16>, Vec<Uuid>) = moves.iter().copied().unzip();
    sqlx::query!(
        "UPDATE shard_owner s
         SET member = heir.id, open_since = least(s.open_since, giver.open_since)
         FROM unnest($2::smallint[], $3::uuid[]) AS u (shard, member)
         JOIN member heir ON heir.id = u.member
         CROSS JOIN member giver
         WHERE s.shard = u.shard AND s.member = $1 AND giver.id = $1",
        from,
        &shards,
        &members,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Stops everything that a member could still write and gives its shards to the others. Waits for a batch under way, because
/// that one holds its slot's row; nobody waits for this meanwhile. Without effect where the process that asks is no member.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    member: Uuid,
    by: Term,
) -> Result<(), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    sqlx::query!("DELETE FROM slot WHERE member = $1", member)
        .execute(&mut *transaction)
        .await?;
    if announce(&mut transaction, by).await? {
        hand_on(&mut transaction, member).await?;
        forget(&mut transaction, member).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Gives a member's shards to the others.
async fn hand_on(transaction: &mut PgTransaction<'_>, member: Uuid) -> Result<(), Error> {
    let heirs = sqlx::query_scalar!(
        "SELECT id FROM member WHERE id <> $1 AND lease_until >= clock_timestamp()",
        member
    )
    .fetch_all(&mut **transaction)
    .await?;
    let shards = sqlx::query_scalar!("SELECT shard FROM shard_owner WHERE member = $1", member)
        .fetch_all(&mut **transaction)
        .await?;
    let moves: Vec<(i16, Uuid)> = shards
        .into_iter()
        .filter_map(|shard| Some((shard, placement::member_of(shard, &heirs)?)))
        .collect();
    update_owners(transaction, member, &moves).await?;
    sqlx::query!(
        "UPDATE shard_owner s SET member = NULL, open_since = least(s.open_since, m.open_since)
         FROM member m WHERE m.id = $1 AND s.member = $1",
        member
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Ends a membership, and keeps what the process compares with what it was told when it comes back.
async fn forget(transaction: &mut PgTransaction<'_>, member: Uuid) -> Result<(), Error> {
    sqlx::query!(
        "WITH gone AS (DELETE FROM member WHERE id = $1 RETURNING id, epoch)
         INSERT INTO former_member (id, epoch, batches) SELECT id, epoch, last_batches(id) FROM gone",
        member
    )
    .execute(&mut **transaction)
    .await?;
    sqlx::query!("DELETE FROM batch_log WHERE member = $1", member)
        .execute(&mut **transaction)
        .await?;
    sqlx::query!(
        "DELETE FROM former_member WHERE epoch <= (SELECT epoch FROM cluster) - $1::bigint",
        FORMER_MEMBERS_KEPT
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Renews the lease, writes since when open runs may have no row in `open_run`, and returns the database's time; `None` when the
/// process is no member any more.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    term: Term,
    lease: Duration,
    open_since: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let now = sqlx::query_scalar!(
        r#"UPDATE member
           SET lease_until = clock_timestamp() + $3 * interval '1 second',
               open_since = timestamptz 'epoch' + $4::bigint * interval '1 microsecond'
           WHERE id = $1 AND epoch = $2
           RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "now!""#,
        term.owner,
        term.epoch,
        lease.as_secs_f64(),
        open_since.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(now.map(Timestamp))
}

/// Notes that a member has folded shards, and that its own row accounts for their open runs.
pub(crate) async fn folded(
    connection: &mut PgConnection,
    term: Term,
    shards: &[i16],
) -> Result<(), Error> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    // Not announced: nobody else needs to know.
    sqlx::query!("SELECT FROM cluster FOR UPDATE")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "UPDATE shard_owner SET open_since = NULL WHERE member = $1 AND shard = ANY ($2)",
        term.owner,
        shards
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::{
        super::connect::{Pool, Purpose, Session, tests::database},
        *,
    };
    use crate::limits::{COMMITTERS, SHARDS};

    #[tokio::test]
    async fn the_schema_has_room_for_all_shards_and_committers() {
        let address = database().await;
        let pool = address.pool(Pool::Control);
        let mut connection = pool.acquire().await.unwrap();
        let member = Uuid::new_v4();
        join(&mut connection, member, "here", Duration::from_mins(1))
            .await
            .unwrap();

        let view = look(&mut connection, None).await.unwrap();
        let batches = held(&mut connection, member).await.unwrap().batches;

        assert_eq!(view.shards.unwrap().len(), usize::from(SHARDS));
        assert!(batches.unwrap().len() >= COMMITTERS);
    }

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
        let address = database().await;
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
