//! Lists that take long keep nobody else waiting.

use std::time::Duration;

use engine::{
    Config, Engine, ListRequest,
    limits::{LIST_CONNECTIONS, LIST_TIMEOUT},
};
use history::EventId;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_take_too_long_end_and_histories_are_read_meanwhile() {
    let url = database().await;
    let engine = owner(&url).await;
    engine
        .start_workflow(&namespace(), start("seq", "read"))
        .await
        .unwrap();
    // Nothing that a list reads can be read.
    let client = connect(&url).await;
    client
        .batch_execute("BEGIN; LOCK TABLE execution IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let filter = ListRequest {
        page_size: 10,
        ..ListRequest::default()
    };
    let begun = std::time::Instant::now();
    let lists = (0..LIST_CONNECTIONS).map(|_| {
        let (engine, filter) = (engine.clone(), filter.clone());
        tokio::spawn(async move { engine.list(&namespace(), &filter).await })
    });
    let lists: Vec<_> = lists.collect();
    let page = engine
        .history(&address("read"), EventId::NONE, 10, Duration::ZERO)
        .await
        .unwrap();
    assert!(!page.events.is_empty());
    assert!(begun.elapsed() < LIST_TIMEOUT, "while they wait");
    for list in lists {
        let error = list.await.unwrap().unwrap_err();
        assert_eq!(error.code(), "LIST_TOO_SLOW");
    }
    assert!(begun.elapsed() < LIST_TIMEOUT * 2);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(
        engine.list(&namespace(), &filter).await.unwrap().runs.len(),
        1
    );
}

/// Somebody keeps what all members agree on: this process can't join, and that is all.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_by_a_process_that_can_t_become_a_member() {
    let url = database().await;
    owner(&url).await.close().await;
    let client = connect(&url).await;
    client
        .batch_execute("BEGIN; SELECT FROM cluster FOR UPDATE")
        .await
        .unwrap();
    let engine = Engine::open(Config::new(&*url, "http://127.0.0.1:1"))
        .await
        .unwrap();
    until(
        &url,
        "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
         AND application_name = 'coreason control' AND wait_event_type = 'Lock')",
    )
    .await;
    let listed = engine.list(&namespace(), &ListRequest::default()).await;
    listed.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    engine.close().await;
}
