//! A run whose namespace this process does not know is never passed over.

use std::time::Duration;

use engine::{Config, Engine};
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
    let serving = tokio::time::timeout(Duration::from_secs(2), second.serving(all)).await;
    assert!(serving.is_err(), "the takeover is not over without the run");
    // What another process made is seen without a restart.
    execute(
        &url,
        "INSERT INTO namespace (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'default')",
    )
    .await;
    tokio::time::timeout(PATIENCE, second.serving(all))
        .await
        .expect("it goes on");
    work(&second, sequence(1), echo());
    assert_eq!(end(&second, "waits").await.status, Status::Completed);
}
