//! Two servers that both take writes: one was replaced by the other, and does not know it.

use std::time::Duration;

use engine::{Config, Engine, Role};

use crate::{
    alarm,
    instance::Instance,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    proxy::Proxy,
    support::*,
};

/// Ends the sessions that read for an engine, so that its next read opens one.
async fn end_reads(url: &str) {
    let ended = number(
        url,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'coreason read'",
    );
    assert_ne!(ended.await, 0);
}

/// A server that was replaced, and takes writes still.
struct Replaced {
    first: Instance,
    /// The standby that was promoted. It does not run.
    second: Instance,
    /// The URL of a database at the first one.
    before: String,
}

async fn replaced() -> Replaced {
    let (mut first, second) = (Instance::start().await, Instance::folder());
    let before = first.database("engine", "").await;
    owner(&before).await.close().await;
    first.stop();
    second.become_standby_of(&first);
    second.end_recovery();
    second.promote();
    first.run().await;
    Replaced {
        first,
        second,
        before,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_speaks_to_the_latest_of_two_servers_that_take_writes() {
    alarm::listen();
    let Replaced {
        first,
        mut second,
        before,
    } = replaced().await;
    second.run().await;
    let after = second.url_of("engine");
    let proxy = Proxy::before(first.port).await;
    // Sessions are asked which server they speak to where there may be several.
    let through = proxy.url(&before).replace('@', "@127.0.0.1:1,");
    let engine = owner_with(with_lease(&*through, Duration::from_secs(1))).await;
    keep_working(&engine, sequence(2), echo());
    Ledger::default().run(&engine, "at-the-first", 2).await;

    // One session after the other comes to the new primary; those that there are stay at the old one, which is as well as ever.
    proxy.lead_new_to(second.port);
    end_reads(&before).await;
    let gone = async {
        loop {
            // A look at what is not in memory takes a session.
            match engine.describe(&address("at-the-first")).await {
                Err(error) if error.code() == "WORKFLOW_NOT_FOUND" => break,
                answer => drop(answer),
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("it goes on at the second one");
    alarm::heard("DATABASE_BEHIND").await;
    let ledger = Ledger::default();
    ledger.run(&engine, "at-the-second", 2).await;
    ledger.check(&after).await;
    // So does one that begins now, though the old one stands before it in the address.
    let both = before.replace(
        '@',
        &format!("@127.0.0.1:{},127.0.0.1:{},", first.port, second.port),
    );
    let fresh = Engine::open(Config::new(&*both, "http://127.0.0.1:1"))
        .await
        .unwrap();
    fresh.owning().await;
    fresh.close().await;
    assert_eq!(number(&before, "SELECT max(epoch) FROM cluster").await, 2);
    let strays = "SELECT count(*) FROM execution WHERE workflow_id = 'at-the-second'";
    assert_eq!(number(&before, strays).await, 0);

    // The old one is not taken again, though it takes writes and is all there is.
    proxy.lead_to(first.port);
    alarm::heard("was replaced").await;
    let outside = async {
        while engine.role() != Role::Outside {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, outside)
        .await
        .expect("it is no member there");
    proxy.lead_to(second.port);
    engine.owning().await;
    ledger.run(&engine, "at-the-second-again", 2).await;
    ledger.check(&after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_joins_anew_goes_to_the_server_that_was_promoted_meanwhile() {
    let Replaced {
        first,
        mut second,
        before,
    } = replaced().await;
    let both = format!("@127.0.0.1:{},127.0.0.1:{},", first.port, second.port);
    let engine = owner_with(with_lease(
        before.replace('@', &both),
        Duration::from_secs(1),
    ))
    .await;
    second.run().await;

    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'coreason%'";
    execute(&before, sessions).await;
    engine.disowned().await;
    engine.owning().await;

    let started = engine
        .start_workflow(&namespace(), start("never", "w"))
        .await;
    assert!(started.unwrap().started);
    let there = "SELECT count(*) FROM execution WHERE workflow_id = 'w'";
    assert_eq!(number(&before, there).await, 0);
    assert_eq!(number(&second.url_of("engine"), there).await, 1);
}
