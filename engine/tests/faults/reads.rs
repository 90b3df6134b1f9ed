//! A read that fails while commits go well: what was to be read has work to do, and nobody asks for it.

use std::{sync::Arc, time::Duration};

use engine::Config;
use history::{Command, EventKind, TimerId, time::Millis};

use crate::{
    ledger::Ledger,
    proxy::{Action, FOLD, PARKED, Point, Proxy},
    support::*,
};

/// Workflow code that sleeps for a second.
fn sleeper() -> Script {
    Arc::new(|_, events| {
        let seen = |of: fn(&EventKind) -> bool| count(events, of) > 0;
        if seen(|kind| matches!(kind, EventKind::TimerFired(_))) {
            vec![complete("rang")]
        } else if seen(|kind| matches!(kind, EventKind::TimerStarted(_))) {
            Vec::new()
        } else {
            vec![Command::StartTimer {
                timer_id: TimerId::known("t"),
                start_to_fire_timeout: Millis::seconds(2),
            }]
        }
    })
}

/// A parked run is due, and what is read of it then is cut once.
async fn a_parked_timer_fires_though_cut_at(point: Point) {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let config = Config {
        park_after: Duration::from_millis(1),
        ..Config::new(through, "http://127.0.0.1:1")
    };
    let engine = owner_with(config).await;
    work(&engine, sleeper(), echo());
    let ledger = Ledger::default();
    let started = engine
        .start_workflow(&namespace(), start("sleeper", "s"))
        .await
        .unwrap();
    until(&url, "EXISTS (SELECT FROM open_run WHERE parked)").await;
    let mut cut = proxy.once(point, Action::Cut);
    cut.reached().await;
    until(&url, "EXISTS (SELECT FROM execution WHERE status = 2)").await;
    ledger.completed("s", started.run_id, 0);
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_timer_fires_though_its_workflow_could_not_be_looked_up() {
    a_parked_timer_fires_though_cut_at(PARKED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_timer_fires_though_its_history_could_not_be_read() {
    a_parked_timer_fires_though_cut_at(FOLD).await;
}
