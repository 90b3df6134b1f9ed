//! A living engine finds its database at an earlier state, or another database in its place.

use std::time::Duration;

use engine::{Engine, Role};
use futures::future::join_all;

use crate::{
    alarm,
    instance::Instance,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    proxy::{Action, LOOK_UP, Proxy},
    support::*,
};

/// Long enough that the lease is not renewed in a test.
const LONG: Duration = Duration::from_mins(5);
/// Short enough that it is renewed soon.
const SHORT: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_never_written_after_those_that_a_restore_took_away() {
    alarm::listen();
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner_with(with_lease(&*through, LONG)).await;
    postgres.stop();
    postgres.keep();
    postgres.run().await;
    for id in ["v", "w"] {
        let started = engine.start_workflow(&namespace(), start("seq", id)).await;
        assert!(started.unwrap().started);
    }
    postgres.stop();
    postgres.put_back();
    postgres.run().await;
    // One connection committed both, and would notice. The other has nothing to miss of its own.
    let mut look_up = proxy.once(LOOK_UP, Action::Hold);
    let (v, w) = (address("v"), address("w"));
    let others = async {
        look_up.reached().await;
        engine.signal(&w, signal("on")).await
    };
    let (held, other) = tokio::join!(engine.signal(&v, signal("on")), others);
    assert_eq!(held.unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(other.unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(number(&url, "SELECT count(*) FROM history").await, 0);
    alarm::heard("DATABASE_BEHIND").await;
    tokio::time::timeout(PATIENCE, engine.owning())
        .await
        .expect("it goes on with what is there");
    let gone = engine.describe(&address("w")).await.unwrap_err();
    assert_eq!(gone.code(), "WORKFLOW_NOT_FOUND");
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "w", 2).await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_under_an_idle_engine_is_an_alarm_and_everything_is_read_anew() {
    alarm::listen();
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let engine = owner_with(with_lease(&*url, SHORT)).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "kept", 2).await;
    let open = engine
        .start_workflow(&namespace(), start("never", "open"))
        .await;
    ledger.started("open", open.unwrap().run_id);
    postgres.stop();
    postgres.keep();
    postgres.run().await;
    Ledger::default().run(&engine, "lost", 2).await;
    postgres.stop();
    postgres.put_back();
    postgres.run().await;
    alarm::heard("DATABASE_BEHIND").await;
    let gone = async {
        loop {
            engine.owning().await;
            match engine.describe(&address("lost")).await.unwrap_err().code() {
                "WORKFLOW_NOT_FOUND" => break,
                code => assert!(matches!(code, "UNAVAILABLE" | "NOT_OWNER"), "{code}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("it knows what is there");
    ledger.run(&engine, "lost", 2).await;
    assert!(engine.describe(&address("open")).await.is_ok());
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_in_the_place_of_the_first_is_an_alarm() {
    alarm::listen();
    let first = database().await;
    let (proxy, through) = Proxy::before_url(&first).await;
    let postgres = Instance::start().await;
    let name = first.rsplit_once('/').unwrap().1;
    let second = postgres.database(name, "").await;
    owner(&second).await.close().await;
    let engine = owner_with(with_lease(&*through, SHORT)).await;
    keep_working(&engine, sequence(2), echo());
    let before = Ledger::default();
    before.run(&engine, "w", 2).await;
    proxy.lead_to(postgres.port);
    alarm::heard("its system identifier is").await;
    let after = Ledger::default();
    engine.owning().await;
    after.run(&engine, "w", 2).await;
    assert!(matches!(engine.role(), Role::Member { .. }));
    before.check(&first).await;
    after.check(&second).await;
}

/// Starts workflows that wait until both members have committed some of them.
async fn start_on_both(engines: &[Engine; 2], name: &str) -> Vec<String> {
    let mut started = [0, 0];
    let mut ids = Vec::new();
    for n in 0.. {
        if started.iter().all(|count| *count >= 3) {
            break;
        }
        let id = format!("{name}{n}");
        for (engine, count) in engines.iter().zip(&mut started) {
            let answer = engine
                .start_workflow(&namespace(), start("never", &id))
                .await;
            *count += usize::from(answer.is_ok_and(|started| started.started));
        }
        ids.push(id);
    }
    ids
}

/// Waits until each of two members serves a good part of the shards.
async fn both_serve(engines: &[Engine; 2]) {
    let serving = join_all(engines.iter().map(|engine| engine.serving(300)));
    tokio::time::timeout(PATIENCE, serving)
        .await
        .expect("they share the shards");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_misses_what_a_restore_took_from_it_whoever_comes_back_first() {
    alarm::listen();
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let open = || Engine::open(with_lease(&*url, SHORT));
    let engines = [open().await.unwrap(), open().await.unwrap()];
    both_serve(&engines).await;
    postgres.stop();
    postgres.keep();
    postgres.run().await;
    both_serve(&engines).await;
    let lost = start_on_both(&engines, "lost").await;
    postgres.stop();
    postgres.put_back();
    postgres.run().await;
    alarm::heard_of("DATABASE_BEHIND", 2).await;
    both_serve(&engines).await;
    for id in lost {
        for engine in &engines {
            let error = engine.describe(&address(&id)).await.unwrap_err();
            assert!(
                matches!(error.code(), "WORKFLOW_NOT_FOUND" | "NOT_OWNER"),
                "{error}"
            );
        }
    }
    let after = start_on_both(&engines, "after").await;
    assert!(!after.is_empty());
    Ledger::default().check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_lost_nothing_is_told_and_is_no_alarm() {
    alarm::listen();
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let engine = owner_with(with_lease(&*url, SHORT)).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "before", 2).await;
    postgres.stop();
    postgres.promote();
    postgres.run().await;
    alarm::heard("it failed over").await;
    ledger.run(&engine, "after", 2).await;
    assert_eq!(alarm::said("DATABASE_BEHIND"), 0);
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_copy_without_their_secret_make_one_and_another_role_is_told() {
    let postgres = Instance::start().await;
    let superuser = postgres.url();
    let roles = "CREATE ROLE plain LOGIN; CREATE ROLE guest LOGIN";
    execute(&superuser, roles).await;
    postgres.database("engine", "OWNER plain").await;
    let url_of = |role: &str| postgres.url_of("engine").replace("postgres@", role);
    let open = |url: &str| Engine::open(with_lease(url, LONG));
    let url = url_of("plain@");
    owner(&url).await.close().await;
    // All rights but those of the owner.
    let grants =
        "GRANT ALL ON SCHEMA public TO guest; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest";
    execute(&url, grants).await;

    // As a dump leaves it that was made by a role which may read everything and owns nothing.
    execute(&url, "DELETE FROM member_secret").await;
    let told = match open(&url_of("guest@")).await {
        Err(engine::Error::Store(error)) => error.to_string(),
        answer => panic!("the store says so, not {:?}", answer.err()),
    };
    let (one, other) = tokio::join!(open(&url), open(&url));
    let engines = [one.unwrap(), other.unwrap()];

    assert!(told.contains("is not shown to this role"), "{told}");
    both_serve(&engines).await;
    assert_eq!(number(&url, "SELECT count(*) FROM member_secret").await, 1);
}
