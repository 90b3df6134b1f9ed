//! The partitions of histories.

use std::time::Duration;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_creates_the_partitions_of_the_weeks_ahead() {
    let pool = database().await;
    let options = pool.connect_options();
    let server = std::env::var("COREASON_TEST_DATABASE_URL").unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("{base}/{}", options.get_database().unwrap());
    let engine = engine::Engine::open(engine::Config::new(url, "http://127.0.0.1:1"))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), engine.owning())
        .await
        .unwrap();
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'history'::regclass";
    assert_eq!(
        lines(&pool, partitions).await,
        "6",
        "five weeks, and the default"
    );
    let now = "lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008000000000000001'";
    execute(
        &pool,
        &format!("INSERT INTO history VALUES (1, ({now})::uuid, 0, 1, 1, '[]', sha256(''))"),
    )
    .await;
    assert_eq!(
        lines(&pool, "SELECT count(*) FROM history_default").await,
        "0"
    );
    engine.close().await;
}
