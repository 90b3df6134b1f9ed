//! The tables `cluster` and `shard_owner`: who may write what.

use std::time::Duration;

use sqlx::{PgConnection, PgTransaction};
use uuid::Uuid;

pub(crate) use super::view::{Placed, Seen, View};
use super::{Error, Term, view::Move};
use crate::placement;

/// Gives the shards that nobody owns to a member.
pub(super) async fn claim(transaction: &mut PgTransaction<'_>, member: Uuid) -> Result<(), Error> {
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
pub(super) async fn announce(transaction: &mut PgTransaction<'_>, by: Term) -> Result<bool, Error> {
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

/// Gives the shards that nobody owns to a member, if it is one still.
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
    moves: &[Move],
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
    moves: &[Move],
) -> Result<(), Error> {
    let shards: Vec<i16> = moves.iter().map(|one| one.shard).collect();
    let members: Vec<Uuid> = moves.iter().map(|one| one.to).collect();
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

/// Gives a member's shards to the others.
pub(super) async fn hand_on(
    transaction: &mut PgTransaction<'_>,
    member: Uuid,
) -> Result<(), Error> {
    let heirs = sqlx::query_scalar!(
        "SELECT id FROM member WHERE id <> $1 AND lease_until >= clock_timestamp()",
        member
    )
    .fetch_all(&mut **transaction)
    .await?;
    let shards = sqlx::query_scalar!("SELECT shard FROM shard_owner WHERE member = $1", member)
        .fetch_all(&mut **transaction)
        .await?;
    let moves: Vec<Move> = shards
        .into_iter()
        .filter_map(|shard| {
            let to = placement::member_of(shard, &heirs)?;
            Some(Move { shard, to })
        })
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
