//! Drops partitions of past weeks whose runs are deleted, which gives their disk back: nothing new comes into them, and `VACUUM` only gives back an end that is empty.

use std::borrow::Cow;

use history::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use super::week::{ONE_AT_A_TIME, Week};
use crate::{
    limits::{PARTITION_BYTES_KEPT_MAX, PARTITION_KEPT_SHARE, PARTITION_ROWS_KEPT_MAX},
    store::{
        Error,
        sqlstate::{LOCK_NOT_AVAILABLE, QUERY_CANCELED},
    },
};

/// No such table.
const UNDEFINED_TABLE: &str = "42P01";
/// Commits wait for 100 ms behind one who waits for the lock, and while it is held for as long as three statements take: a second at most.
const TIMEOUTS: &str = "SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '300ms'";

/// Drops the partitions of weeks that are over of which almost nothing is left: that is moved to `history_default`, byte for byte. Returns their names.
/// One that somebody reads, for hours it may be, is left for the next time.
pub(crate) async fn drop_emptied(pool: &PgPool, now: Timestamp) -> Result<Vec<String>, Error> {
    let mut connection = pool.acquire().await?;
    let mut dropped = Vec::new();
    for table in past(&mut connection, now).await? {
        if !is_emptied(&mut connection, &table).await? {
            continue;
        }
        match drop(&mut connection, &table).await {
            Ok(()) => dropped.push(table),
            // Somebody reads it, it takes too long, or another process has just dropped it.
            Err(error)
                if matches!(
                    code(&error).as_deref(),
                    Some(LOCK_NOT_AVAILABLE | QUERY_CANCELED | UNDEFINED_TABLE)
                ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(dropped)
}

/// Returns the partitions of weeks that are over, the last one left out: who made a run id may have been slow to commit it.
async fn past(connection: &mut PgConnection, now: Timestamp) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        r#"SELECT c.relname::text AS "name!"
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'history'::regclass AND c.relname ~ '^history_w\d{1,9}$'
             AND substring(c.relname FROM '\d+')::bigint < $1::bigint - 1
           ORDER BY c.relname"#,
        Week::number(now)
    )
    .fetch_all(connection)
    .await?)
}

/// Says whether few rows are left, and these are a small share of what the table has on disk: a week in which little happened stays as it is.
async fn is_emptied(connection: &mut PgConnection, table: &str) -> Result<bool, Error> {
    let left = format!(
        "SELECT count(*), coalesce(sum(octet_length(x.records)), 0)::bigint, pg_total_relation_size('{table}')
         FROM (SELECT records FROM {table} LIMIT {PARTITION_ROWS_KEPT_MAX} + 1) AS x"
    );
    let (rows, bytes, on_disk): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(left))
        .fetch_one(connection)
        .await?;
    let is_small =
        bytes <= PARTITION_BYTES_KEPT_MAX && bytes.saturating_mul(PARTITION_KEPT_SHARE) <= on_disk;
    Ok(rows <= PARTITION_ROWS_KEPT_MAX && is_small)
}

async fn drop(connection: &mut PgConnection, table: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for statement in [
        TIMEOUTS,
        ONE_AT_A_TIME,
        &format!("ALTER TABLE history DETACH PARTITION {table}"),
        // Comes into the default partition.
        &format!("INSERT INTO history SELECT * FROM {table}"),
        &format!("DROP TABLE {table}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn code(error: &sqlx::Error) -> Option<String> {
    let told = error.as_database_error()?;
    told.code().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{make::ensure_partitions, week::WEEK_MS},
        *,
    };
    use crate::store::{database, session::Pool};

    /// 2026-11-23T06:00:00Z.
    const NOW: i64 = 1_795_413_600_000_000;
    const WEEK: i64 = WEEK_MS * 1000;

    #[tokio::test]
    async fn a_week_of_which_almost_nothing_is_left_goes_and_that_stays_to_the_byte() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Visibility);
        ensure_partitions(&pool, Timestamp(NOW)).await.unwrap();
        let tables: Vec<String> = Week::from(Timestamp(NOW)).map(Week::table).collect();
        for (table, week) in tables.iter().zip(Week::from(Timestamp(NOW))) {
            let start = &week.first().to_string()[..24];
            sqlx::raw_sql(AssertSqlSafe(format!(
                "INSERT INTO history SELECT 0, ('{start}' || lpad(to_hex(n), 12, '0'))::uuid, 0, 1, 1, repeat('x', 100), sha256(n::text::bytea)
                 FROM generate_series(1, 3000) AS n"
            )))
            .execute(&pool)
            .await
            .unwrap();
            assert!(table.starts_with("history_w"));
        }
        let rows = "SELECT md5(string_agg(h::text, ',' ORDER BY h.run_id)) FROM history h";
        let hash = async || {
            let hash: String = sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap();
            hash
        };
        // Of the first nothing is left, of the second two runs, of the third half; in the fourth nothing was deleted.
        let ends = [("3000", 0), ("2998", 1), ("1500", 2)];
        for (deleted, n) in ends {
            sqlx::raw_sql(AssertSqlSafe(format!(
                "DELETE FROM {} WHERE ctid IN (SELECT ctid FROM {} ORDER BY run_id LIMIT {deleted})",
                tables[n], tables[n]
            )))
            .execute(&pool)
            .await
            .unwrap();
        }
        let before = hash().await;
        let later = Timestamp(NOW + 10 * WEEK);
        assert_eq!(drop_emptied(&pool, Timestamp(NOW)).await.unwrap(), [""; 0]);

        // Somebody reads: nothing goes, and nobody waits for long.
        let mut reader = pool.begin().await.unwrap();
        sqlx::query("SELECT FROM history LIMIT 1")
            .execute(&mut *reader)
            .await
            .unwrap();
        assert_eq!(drop_emptied(&pool, later).await.unwrap(), [""; 0]);
        reader.rollback().await.unwrap();

        assert_eq!(drop_emptied(&pool, later).await.unwrap(), tables[..2]);
        assert_eq!(hash().await, before);
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM history_default")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(kept, 2);
        assert_eq!(drop_emptied(&pool, later).await.unwrap(), [""; 0]);
    }
}
