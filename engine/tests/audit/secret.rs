//! Who may read everything can't speak as a member.

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
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET ROLE {auditor}")))
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
