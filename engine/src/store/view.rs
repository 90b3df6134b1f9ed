//! Who is there and who owns what, as everybody sees it.

use history::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;

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

/// A shard goes to another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) shard: i16,
    pub(crate) to: Uuid,
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
