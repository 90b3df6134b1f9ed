//! Deadlines of parked runs, as a real database gives them.

use std::{sync::Arc, time::Duration};

use engine::{Config, limits::PARKED_PAGE};
use history::{Command, EventKind, Millis, Status, TimerId};

use crate::support::*;

/// Sleeps, and ends.
fn nap(millis: u64) -> Script {
    Arc::new(move |_, events| {
        let has = |of: fn(&EventKind) -> bool| events.iter().any(|event| of(&event.kind));
        if has(|kind| matches!(kind, EventKind::TimerFired(_))) {
            vec![complete("rang")]
        } else if has(|kind| matches!(kind, EventKind::TimerStarted(_))) {
            Vec::new()
        } else {
            vec![Command::StartTimer {
                timer_id: TimerId::known("t"),
                start_to_fire_timeout: Millis(millis),
            }]
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_behind_pages_of_others_that_are_due_at_one_moment_fires() {
    let url = database().await;
    let config = Config {
        park_after: Duration::ZERO,
        ..Config::new(&*url, "http://127.0.0.1:1")
    };
    let engine = owner_with(config).await;
    let working = work(&engine, nap(4000), echo());
    for n in 0..5 {
        engine
            .start_workflow(&namespace(), start("nap", &format!("nap-{n}")))
            .await
            .unwrap();
    }
    until(&url, "(SELECT count(*) = 5 FROM open_run WHERE parked)").await;
    engine.close().await;
    working.abort();
    // Some pages of runs before them that are gone, all due at one moment: what is stale costs a look, and is looked at once.
    let others = 3 * PARKED_PAGE + 100;
    execute(
        &url,
        &format!(
            "INSERT INTO open_run (shard, run_id, parked, due_at)
             SELECT n % 1024, gen_random_uuid(), true, '2026-01-01' FROM generate_series(1, {others}) n"
        ),
    )
    .await;
    // They are parked still, each behind all of the others.
    let behind = "SELECT count(*) FROM open_run WHERE parked AND due_at > (SELECT min(due_at) FROM open_run)";
    assert_eq!(number(&url, behind).await, 5);
    let engine = owner(&url).await;
    work(&engine, nap(4000), echo());
    for n in 0..5 {
        let closed = end(&engine, &format!("nap-{n}")).await;
        assert_eq!(closed.status, Status::Completed);
    }
}
