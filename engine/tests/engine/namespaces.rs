//! A run whose namespace this process does not know is never passed over.

use engine::{Config, Engine, Role};
use history::Status;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_a_namespace_that_is_missing_and_goes_on_when_it_is_there() {
    let url = database().await;
    let first = owner(&url).await;
    first
        .start_workflow(&namespace(), start("seq", "waits"))
        .await
        .unwrap();
    first.close().await;
    execute(&url, "DELETE FROM namespace").await;
    let second = Engine::open(Config::new(&*url, "http://127.0.0.1:1"))
        .await
        .unwrap();
    let all = usize::from(engine::limits::SHARDS);
    // It has met the run, and looks for its namespace again.
    let other = connect(&url).await;
    other
        .batch_execute("BEGIN; LOCK TABLE namespace")
        .await
        .unwrap();
    until(
        &url,
        "EXISTS (SELECT FROM pg_locks WHERE relation = 'namespace'::regclass AND NOT granted)",
    )
    .await;
    let serves = |engine: &Engine| match engine.role() {
        Role::Member { shards, .. } => shards,
        Role::Outside => 0,
    };
    assert!(serves(&second) < all, "it is not over without the run");
    // What another process made is seen without a restart.
    other
        .batch_execute(
            "INSERT INTO namespace (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'default'); COMMIT",
        )
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, second.serving(all))
        .await
        .expect("it goes on");
    work(&second, sequence(1), echo());
    assert_eq!(end(&second, "waits").await.status, Status::Completed);
}
