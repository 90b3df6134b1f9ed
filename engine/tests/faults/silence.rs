//! Nothing comes from Postgres, or nothing arrives there: for a while, or on connections that are half gone.

use std::time::{Duration, Instant};

use engine::{Config, Engine, Role};

use crate::{
    alarm,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    proxy::{Action, COMMITTED, GIVE, Proxy, Side},
    support::*,
};

/// A stall of three leases: another member that reaches Postgres takes over in the middle of it.
async fn a_stall_hands_over(lease: Duration) {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let stalled = owner_with(with_lease(&*through, lease)).await;
    let ledger = Ledger::default();
    let started = stalled
        .start_workflow(&namespace(), start("seq", "before"))
        .await
        .unwrap();
    ledger.started("before", started.run_id);
    proxy.stall();
    // It joins while the other one can't give anything away.
    let other = Engine::open(with_lease(&*url, lease)).await.unwrap();
    let since = Instant::now();
    let (engine, request) = (stalled.clone(), start("seq", "during"));
    let (asked, again) = (request.clone(), namespace());
    let answer = tokio::spawn(async move { engine.start_workflow(&again, asked).await });
    tokio::time::timeout(PATIENCE, other.serving(1024))
        .await
        .expect("it is replaced");
    tokio::time::timeout(PATIENCE, stalled.disowned())
        .await
        .expect("it knows by itself that it is");
    assert!(
        since.elapsed() < 3 * lease,
        "in time: {:?}",
        since.elapsed()
    );
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE");
    keep_working(&other, sequence(2), echo());
    let (during, closed) = other
        .execute_workflow(&namespace(), request, PATIENCE)
        .await
        .unwrap();
    assert!(closed.closed().is_some());
    ledger.completed("during", during.run_id, 2);
    assert!(end(&other, "before").await.run_id == started.run_id);
    ledger.completed("before", started.run_id, 2);
    // What comes through now is of an owner that was.
    tokio::time::sleep((3 * lease).saturating_sub(since.elapsed())).await;
    ledger.run(&other, "after", 2).await;
    assert!(matches!(other.role(), Role::Member { epoch: 2, .. }));
    proxy.flow();
    other.close().await;
    tokio::time::timeout(PATIENCE, stalled.serving(1024))
        .await
        .expect("it comes back");
    keep_working(&stalled, sequence(2), echo());
    ledger.run(&stalled, "again", 2).await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_of_three_leases_hands_the_shards_over() {
    a_stall_hands_over(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand: a stall of half a minute at the usual lease"]
async fn a_stall_of_half_a_minute_hands_the_shards_over() {
    a_stall_hands_over(engine::limits::LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_alone_goes_on_after_a_stall() {
    let lease = Duration::from_millis(500);
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner_with(with_lease(&*through, lease)).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "before", 2).await;
    proxy.stall();
    let during = ledger.run(&engine, "during", 2);
    let flows = async {
        engine.disowned().await;
        proxy.flow();
    };
    tokio::join!(during, flows);
    ledger.run(&engine, "after", 2).await;
    ledger.check(&url).await;
}

/// So many members watch another one, and each is watched. A session that was given up for another waits on for a while.
fn watchers(n: usize) -> String {
    format!(
        "(SELECT count(DISTINCT a.application_name) = {n} AND count(DISTINCT (l.classid, l.objid)) = {n}
          FROM pg_locks l JOIN pg_stat_activity a USING (pid)
          WHERE a.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_can_not_be_reached_does_not_keep_others_from_taking_over() {
    let lease = Duration::from_millis(500);
    let url = database().await;
    let first = owner_with(with_lease(&*url, lease)).await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let _gone = Engine::open(with_lease(&*through, lease)).await.unwrap();
    until(&url, &watchers(2)).await;
    let last = Engine::open(with_lease(&*url, lease)).await.unwrap();
    until(&url, &watchers(3)).await;
    // It watches one of the others, and Postgres does not know that nobody is there.
    proxy.stall();
    first.close().await;
    tokio::time::timeout(PATIENCE / 2, last.serving(1024))
        .await
        .expect("the one that can be reached takes over");
    keep_working(&last, sequence(1), echo());
    let ledger = Ledger::default();
    ledger.run(&last, "w", 1).await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stops_in_the_middle_of_a_change_does_not_keep_others_from_joining() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    // Its lease is long: nobody replaces it.
    let _stopped = owner_with(with_lease(&*through, Duration::from_mins(5))).await;
    let mut given = proxy.once(GIVE, Action::Hold);
    let open = || Engine::open(with_lease(&*url, Duration::from_mins(5)));
    let _second = open().await.unwrap();
    given.reached().await;
    let _third = open().await.unwrap();
    until(&url, "(SELECT count(*) = 3 FROM member)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_others_outlive_a_member_that_is_replaced() {
    let lease = Duration::from_millis(500);
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let _gone = owner_with(with_lease(&*through, lease)).await;
    let names = [
        "",
        "coreason",
        "coreason 00000000-0000-0000-0000-000000000000 lease",
    ];
    let mut strangers = Vec::new();
    for name in names {
        let stranger = connect(&url).await;
        let sql = format!("SET application_name = '{name}'");
        stranger.batch_execute(&sql).await.unwrap();
        strangers.push(stranger);
    }
    proxy.stall();
    let other = Engine::open(with_lease(&*url, lease)).await.unwrap();
    tokio::time::timeout(PATIENCE, other.serving(1024))
        .await
        .expect("it takes over");
    for stranger in strangers {
        stranger.batch_execute("SELECT 1").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_stall_costs_nothing_but_time() {
    const STALL: Duration = Duration::from_millis(300);
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let mut committed = proxy.once(COMMITTED, Action::Hold);
    let stalled = async {
        committed.reached().await;
        proxy.stall();
        committed.pass();
        // Nothing tells how long a stall is but its time.
        tokio::time::sleep(STALL).await;
        proxy.flow();
    };
    let since = Instant::now();
    tokio::join!(ledger.run_many(&engine, 20, 2), stalled);
    assert!(since.elapsed() >= STALL);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

/// An owner whose connections are half gone, all or only those that commit, is its own successor soon.
async fn a_half_open_owner_recovers(unheard: Side, only_committers: bool) {
    let lease = Duration::from_millis(500);
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner_with(with_lease(&*through, lease)).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "before", 2).await;
    proxy.half_open(unheard, only_committers);
    let since = Instant::now();
    ledger.run_many(&engine, 10, 2).await;
    assert!(since.elapsed() < PATIENCE / 2, "{:?}", since.elapsed());
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_postgres_does_not_hear_recovers() {
    a_half_open_owner_recovers(Side::Engine, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_hear_postgres_recovers() {
    a_half_open_owner_recovers(Side::Postgres, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_postgres_does_not_hear_are_sent_again() {
    a_half_open_owner_recovers(Side::Engine, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_whose_answers_do_not_arrive_are_looked_up() {
    a_half_open_owner_recovers(Side::Postgres, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_keeps_a_process_from_joining_is_not_called_a_database_that_is_away() {
    alarm::listen();
    let url = database().await;
    owner(&url).await.close().await;
    let other = connect(&url).await;
    other
        .batch_execute("BEGIN; LOCK TABLE cluster")
        .await
        .unwrap();

    let engine = Engine::open(Config::new(&*url, "http://127.0.0.1:1"))
        .await
        .unwrap();
    alarm::heard("the membership ended").await;

    assert_eq!(engine.refusal().code(), "NOT_OWNER");
    other.batch_execute("COMMIT").await.unwrap();
    tokio::time::timeout(PATIENCE, engine.owning())
        .await
        .expect("it joins");
}
