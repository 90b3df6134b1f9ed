//! The tables `member`, `former_member` and `slot`: who is a member, and until when.

use std::time::Duration;

use history::Timestamp;
use sqlx::{PgConnection, PgTransaction};
use uuid::Uuid;

use super::{
    Error, Joined, Term,
    acknowledged::Held,
    interval,
    ownership::{announce, claim, hand_on},
};
use crate::limits::{FORMER_MEMBERS_KEPT, FORMER_MEMBERS_KEPT_FOR};

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

/// Makes a process a member, which gets the shards that nobody owns. Returns its epoch, and since when its own open runs may
/// have no row in `open_run`.
pub(crate) async fn join(
    connection: &mut PgConnection,
    member: Uuid,
    address: &str,
    lease: Duration,
) -> Result<Joined, Error> {
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
    Ok(Joined {
        term: Term {
            owner: member,
            epoch,
        },
        open_since: Timestamp(open_since),
    })
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

/// Ends a membership, and keeps what the process compares with what it was told when it comes back.
async fn forget(transaction: &mut PgTransaction<'_>, member: Uuid) -> Result<(), Error> {
    sqlx::query!(
        "WITH gone AS (DELETE FROM member WHERE id = $1 RETURNING id, epoch)
         INSERT INTO former_member (id, epoch, batches) SELECT id, epoch, last_batches(epoch) FROM gone",
        member
    )
    .execute(&mut **transaction)
    .await?;
    // Not those that were members till now, however long ago they joined: somebody may have to read what they wrote last.
    sqlx::query!(
        "DELETE FROM former_member
         WHERE epoch <= (SELECT epoch FROM cluster) - $1::bigint AND ended_at < clock_timestamp() - $2::interval",
        FORMER_MEMBERS_KEPT,
        interval(FORMER_MEMBERS_KEPT_FOR)
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{database, session::Pool, view},
        *,
    };
    use crate::limits::{COMMITTERS, SHARDS};

    #[tokio::test]
    async fn the_schema_has_room_for_all_shards_and_committers() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Control);
        let mut connection = pool.acquire().await.unwrap();
        let member = Uuid::new_v4();
        join(&mut connection, member, "here", Duration::from_mins(1))
            .await
            .unwrap();

        let view = view::look(&mut connection, None).await.unwrap();
        let batches = held(&mut connection, member).await.unwrap().batches;

        assert_eq!(view.shards.unwrap().len(), usize::from(SHARDS));
        assert!(batches.unwrap().len() >= COMMITTERS);
    }
}
