//! Who may read everything can't speak as a member, and the role for auditors reads all but that.

use sqlx::AssertSqlSafe;

use crate::support::*;

#[tokio::test]
async fn secret_of_the_members_is_hidden_from_auditors() {
    let pool = database().await;
    let seen = "SELECT count(*)::text FROM member_secret";
    assert_eq!(lines(&pool, seen).await, "1");
    let auditor = format!("auditor_{}", uuid::Uuid::new_v4().simple());
    execute(
        &pool,
        &format!("CREATE ROLE {auditor}; GRANT pg_read_all_data TO {auditor}"),
    )
    .await;

    let mut session = pool.acquire().await.unwrap();
    let read = async {
        sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {auditor}")))
            .execute(&mut *session)
            .await?;
        let members: i64 = sqlx::query_scalar("SELECT count(*) FROM member_secret")
            .fetch_one(&mut *session)
            .await?;
        let shards: i64 = sqlx::query_scalar("SELECT count(*) FROM shard_owner")
            .fetch_one(&mut *session)
            .await?;
        Ok::<_, sqlx::Error>((members, shards))
    };

    assert_eq!(read.await.unwrap(), (0, 1024));
    drop(session.detach());
    execute(&pool, &format!("DROP ROLE {auditor}")).await;
}

#[tokio::test]
async fn the_role_for_auditors_reads_all_tables_and_views_but_no_secret_and_writes_nothing() {
    let pool = database().await;
    let mut session = pool.acquire().await.unwrap();
    sqlx::raw_sql("CREATE TABLE of_a_later_migration (x int); SET ROLE coreason_auditor")
        .execute(&mut *session)
        .await
        .unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition ORDER BY 1",
    )
    .fetch_all(&mut *session)
    .await
    .unwrap();
    assert!(tables.len() > 30, "{tables:?}");
    for table in tables {
        let read = sqlx::raw_sql(AssertSqlSafe(format!("SELECT * FROM {table} LIMIT 1")));
        let may_read = read.execute(&mut *session).await.is_ok();
        assert_eq!(may_read, table != "member_secret", "{table}");
        for change in [
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("INSERT INTO {table} DEFAULT VALUES"),
        ] {
            let changed = sqlx::raw_sql(AssertSqlSafe(change.clone()))
                .execute(&mut *session)
                .await;
            assert!(changed.is_err(), "{change}");
        }
    }
    for change in [
        "SELECT delete_runs('{}', '{}', 1::smallint)",
        "SELECT grant_audit('coreason_auditor')",
        "SELECT nextval('feed_position')",
        "CREATE TABLE mine (x int)",
    ] {
        assert!(
            sqlx::raw_sql(change).execute(&mut *session).await.is_err(),
            "{change}"
        );
    }
    let checked = sqlx::raw_sql("SELECT * FROM audit_check()")
        .execute(&mut *session)
        .await;
    checked.unwrap();
    drop(session.detach());
}
