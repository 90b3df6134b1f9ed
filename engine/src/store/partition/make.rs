//! Makes the partitions of this week and those to come.

use history::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use super::week::{ONE_AT_A_TIME, Week};
use crate::store::sqlstate::{INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED};

/// Creating a partition locks the default one, and reads it. A long audit may be reading it, or it is large: then rows go there instead.
const TIMEOUTS: &str = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '2s'";

/// What vacuum is told of the default partition, where the migration says why.
const AS_DEFAULT: &str = "autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_limit = 2000";

/// Says what keeps a partition from being made that keeps nothing else from being done, by the SQLSTATE.
fn can_do_without(code: &str) -> Option<&'static str> {
    Some(match code {
        LOCK_NOT_AVAILABLE => "history is locked by a long read or another process",
        QUERY_CANCELED => "history_default is too large to be looked through in time",
        "42P17" => "another partition has its rows",
        "42P07" => {
            "a table of that name is no partition of history; attach it again, or give it another name"
        }
        INSUFFICIENT_PRIVILEGE => "this role may not make tables, or does not own history",
        _ => return None,
    })
}

/// Creates the partitions of this week and the next four that are absent, and then analyses `history` in the background:
/// autovacuum never does that for a partitioned table. A week whose rows are in the default partition stays there.
///
/// # Errors
/// When the database fails.
pub(crate) async fn ensure_partitions(pool: &PgPool, now: Timestamp) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut created = false;
    for week in Week::from(now) {
        match create(&mut connection, week).await {
            Ok(Made::New) => created = true,
            Ok(Made::Before) => {}
            Ok(Made::Not) => tracing::warn!(
                partition = week.table(),
                "rows of this week are in history_default, and the others go there too"
            ),
            Err(error) => {
                let code = error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code);
                let Some(because) = code.as_deref().and_then(can_do_without) else {
                    return Err(error);
                };
                tracing::warn!(
                    partition = week.table(),
                    because,
                    "a partition can't be made; its rows go to history_default"
                );
            }
        }
    }
    drop(connection);
    if created {
        let pool = pool.clone();
        tokio::spawn(async move {
            if let Err(error) = analyze(&pool).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "history could not be analysed"
                );
            }
        });
    }
    Ok(())
}

/// Whether a partition was made.
enum Made {
    New,
    Before,
    /// Its rows are in the default partition.
    Not,
}

/// Creates a week's partition unless it exists or its rows are elsewhere.
async fn create(connection: &mut PgConnection, week: Week) -> Result<Made, sqlx::Error> {
    let table = week.table();
    if exists(connection, &table).await? {
        return Ok(Made::Before);
    }
    // A partition that is attached locks the parent against less than one that is created as a partition: commits go on.
    let (first, end) = (week.first(), week.end());
    let mut transaction = connection.begin().await?;
    for statement in [TIMEOUTS, ONE_AT_A_TIME] {
        sqlx::raw_sql(statement).execute(&mut *transaction).await?;
    }
    if exists(&mut transaction, &table).await? {
        return Ok(Made::Before);
    }
    if default_holds(&mut transaction, week).await? {
        return Ok(Made::Not);
    }
    for statement in [
        format!("CREATE TABLE {table} (LIKE history INCLUDING ALL) WITH ({AS_DEFAULT})"),
        format!(
            "ALTER TABLE history ATTACH PARTITION {table} FOR VALUES FROM ('{first}') TO ('{end}')"
        ),
    ] {
        // Names and bounds are made of numbers, and no statement of this kind takes parameters.
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(Made::New)
}

/// Asks the catalogue's tables: what resolves names remembers that one was not there, whoever has made it since.
async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                          WHERE i.inhparent = 'history'::regclass AND c.relname = $1::text) AS "exists!""#,
        table,
    )
    .fetch_one(connection)
    .await
}

async fn default_holds(connection: &mut PgConnection, week: Week) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM history_default WHERE run_id >= $1 AND run_id < $2) AS "exists!""#,
        week.first(),
        week.end(),
    )
    .fetch_one(connection)
    .await
}

async fn analyze(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!("ANALYZE history").execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{database, session::Pool};

    #[tokio::test]
    async fn a_partition_that_somebody_has_taken_out_keeps_nobody_from_joining() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Read);
        let now = Timestamp(1_795_413_600_000_000);
        ensure_partitions(&pool, now).await.unwrap();
        sqlx::raw_sql("ALTER TABLE history DETACH PARTITION history_w2970")
            .execute(&pool)
            .await
            .unwrap();

        sqlx::raw_sql("ALTER TABLE history_w2971 RENAME TO history_of_another_name")
            .execute(&pool)
            .await
            .unwrap();

        ensure_partitions(&pool, now).await.unwrap();

        let mut connection = pool.acquire().await.unwrap();
        assert!(!exists(&mut connection, "history_w2970").await.unwrap());
        assert!(exists(&mut connection, "history_w2972").await.unwrap());
    }

    #[tokio::test]
    async fn vacuum_is_told_the_same_of_all_partitions() {
        let pool = database::fresh().await.pool(Pool::Read);
        ensure_partitions(&pool, Timestamp(1_795_413_600_000_000))
            .await
            .unwrap();
        let told = "SELECT DISTINCT c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'history'::regclass";
        let told: Vec<Option<Vec<String>>> =
            sqlx::query_scalar(told).fetch_all(&pool).await.unwrap();
        assert!(matches!(&told[..], [Some(_)]), "{told:?}");
    }
}
