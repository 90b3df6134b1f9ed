//! A connection that ends in the middle of a batch: before its COMMIT arrived, or after it was done.

use engine::Role;
use futures::future::join_all;

use crate::{
    ledger::Ledger,
    proxy::{Action, COMMIT, COMMITTED, LOOK_UP, Proxy},
    support::*,
};

/// A batch has written its rows and not committed.
const IN_A_BATCH: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
    AND query LIKE 'SELECT commit_batch(%' AND state = 'active' AND wait_event = 'ClientRead')";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ended_before_its_commit_wrote_nothing_and_the_batch_is_sent_again() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    let ledger = Ledger::default();
    let mut commit = proxy.once(COMMIT, Action::Hold);
    let asked = engine.clone();
    let start = tokio::spawn(async move {
        asked
            .start_workflow(&namespace(), start("seq", "w"))
            .await
            .unwrap()
    });
    commit.reached().await;
    until(&url, IN_A_BATCH).await;
    execute(&url, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT commit_batch(%' AND wait_event = 'ClientRead'").await;
    commit.pass();
    let started = start.await.unwrap();
    assert!(started.started);
    ledger.started("w", started.run_id);
    assert_eq!(number(&url, "SELECT count(*) FROM history").await, 1);
    work(&engine, sequence(2), echo());
    assert_eq!(end(&engine, "w").await.status, history::Status::Completed);
    ledger.completed("w", started.run_id, 2);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cut_off_between_its_rows_and_its_commit_is_written_once() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let mut commit = proxy.once(COMMIT, Action::Hold);
    let mut look_up = proxy.once(LOOK_UP, Action::Hold);
    let cut = async {
        commit.reached().await;
        until(&url, IN_A_BATCH).await;
        commit.cut();
        look_up.reached().await;
        assert_eq!(number(&url, "SELECT count(*) FROM history").await, 0);
        look_up.pass();
    };
    tokio::join!(cut, ledger.run(&engine, "w", 2));
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_and_answered_as_done() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    let ledger = Ledger::default();
    let mut committed = proxy.once(COMMITTED, Action::Cut);
    let mut look_up = proxy.once(LOOK_UP, Action::Hold);
    let cut = async {
        committed.reached().await;
        look_up.reached().await;
        assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 1);
        assert_eq!(number(&url, "SELECT count(*) FROM history").await, 1);
        // Only now: before, there is nothing to write but the start, however busy the machine is.
        work(&engine, sequence(2), echo());
        look_up.pass();
    };
    tokio::join!(cut, ledger.run(&engine, "w", 2));
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_commit_of_a_workflow_may_be_cut_on_its_way_or_on_its_way_back() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(3), echo());
    let ledger = Ledger::default();
    for n in 0..4 {
        for (way, point) in [("there", COMMIT), ("back", COMMITTED)] {
            let mut cut = proxy.nth(point, n, Action::Cut);
            ledger.run(&engine, &format!("{way}{n}"), 3).await;
            cut.reached().await;
        }
    }
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_a_cut_and_a_look_up_cut_too_change_nothing() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(1), echo());
    let ledger = Ledger::default();
    let mut traps = [
        proxy.once(COMMIT, Action::Cut),
        proxy.once(LOOK_UP, Action::Cut),
        proxy.once(COMMIT, Action::Cut),
        proxy.once(COMMITTED, Action::Cut),
        proxy.once(LOOK_UP, Action::Cut),
    ];
    ledger.run(&engine, "w", 1).await;
    for trap in &mut traps {
        trap.reached().await;
    }
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workflows_go_on_while_every_few_commits_are_cut() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(3), echo());
    let ledger = Ledger::default();
    let mut cuts: Vec<_> = (0..6)
        .map(|n| proxy.nth([COMMIT, COMMITTED][n % 2], 4 * n, Action::Cut))
        .collect();
    // Eight at a time: many commits, whatever comes together.
    for n in 0..12 {
        let ids: Vec<_> = (0..8).map(|k| format!("w{n}.{k}")).collect();
        join_all(ids.iter().map(|id| ledger.run(&engine, id, 3))).await;
    }
    for cut in &mut cuts {
        cut.reached().await;
    }
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}
