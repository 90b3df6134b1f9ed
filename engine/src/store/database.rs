//! Databases for tests.

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    connect::Address,
    fit, migrate,
    session::{Pool, Purpose, Session},
};

/// Returns a database of a test's own, with the schema.
pub(crate) async fn fresh() -> Address {
    let server = std::env::var("COREASON_TEST_DATABASE_URL")
        .expect("./test sets COREASON_TEST_DATABASE_URL");
    let name = format!("test_{}", Uuid::new_v4().simple());
    let client = Address::find(&server).await.unwrap();
    let client = client
        .client(Session::Pooled(Pool::Whole), Purpose::Pooled(Pool::Whole))
        .await
        .unwrap();
    let create = format!("CREATE DATABASE {name}");
    client.batch_execute(&create).await.unwrap();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = base.rsplit_once('/').unwrap();
    let address = Address::find(&format!("{base}/{name}?{query}"))
        .await
        .unwrap();
    let pool = fit::pool(&address).await.unwrap();
    migrate::migrate(&pool).await.unwrap();
    address
}

/// Puts in runs that have been closed for years, in a namespace that keeps them for an hour.
pub(crate) async fn with_old_runs(pool: &PgPool, how_many: i32) {
    sqlx::query(
        "INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id, request_id, started_at, status, closed_at,
                                history_length, history_bytes)
         SELECT 0, id, 1, id::text, 't', 'q', id, 'r', '2020-01-01', 2, '2020-01-01', 1, 1
         FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS x",
    )
    .bind(how_many)
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql(
        "SELECT project_visibility(array_agg(shard), array_agg(run_id)) FROM execution;
         UPDATE namespace SET retention = '1 hour'",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// Returns how many runs there are.
pub(crate) async fn runs(pool: &PgPool) -> i64 {
    let runs = sqlx::query_scalar("SELECT count(*) FROM execution");
    runs.fetch_one(pool).await.unwrap()
}

/// Has another archive follow, as the advice of [`crate::archive::Error`] says.
pub(crate) async fn forget_archive(pool: &PgPool) {
    sqlx::raw_sql("UPDATE cluster SET archive = NULL")
        .execute(pool)
        .await
        .unwrap();
}

/// Says that the log is refused for so long from now on, an interval.
pub(crate) async fn log_refused_for(pool: &PgPool, interval: &str) {
    sqlx::query("UPDATE cluster SET seal_refused_until = clock_timestamp() + $1::text::interval")
        .bind(interval)
        .execute(pool)
        .await
        .unwrap();
}
