//! Postgres is killed while many workflows are under way.

use std::time::Duration;

use engine::ListRequest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    instance::Instance,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    support::*,
};

/// Waits for a session that commits, and returns its process.
async fn committing(url: &str) -> i32 {
    let postgres = connect(url).await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'coreason % commit _'";
    let session = async {
        loop {
            if let Some(row) = postgres.query(sql, &[]).await.unwrap().first() {
                return row.get(0);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, session)
        .await
        .expect("the engine commits")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_when_postgres_was_killed_under_load() {
    const WORKFLOWS: usize = 300;
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let engine = owner_with(with_lease(&*url, Duration::from_secs(2))).await;
    keep_working(&engine, sequence(3), echo());
    let ledger = Ledger::default();
    let done = |n: usize| format!("(SELECT count(*) >= {n} FROM execution WHERE status = 2)");
    let killed = async {
        until(&url, &done(1)).await;
        postgres.kill();
        postgres.run().await;
        until(&url, &done(WORKFLOWS / 3)).await;
        // One killed session costs them all: the server can't trust its memory any more.
        let session = committing(&url).await;
        kill(Pid::from_raw(session), Signal::SIGKILL).unwrap();
        postgres.run().await;
    };
    tokio::join!(ledger.run_many(&engine, WORKFLOWS, 3), killed);
    ledger.run(&engine, "after", 3).await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_while_the_database_is_away_is_told_so_and_served_once_it_is_back() {
    let mut postgres = Instance::start().await;
    let url = postgres.database("engine", "").await;
    let engine = owner_with(with_lease(&*url, Duration::from_secs(2))).await;
    postgres.stop();
    let told = async {
        loop {
            let answer = engine.describe(&address("w")).await;
            match answer {
                Err(error) if error.to_string().contains("refused") => break error,
                // Until that is known.
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert_eq!(told.code(), "DATABASE_UNREACHABLE");
    let listed = engine.list(&namespace(), &ListRequest::default()).await;
    assert_eq!(listed.unwrap_err().code(), "DATABASE_UNREACHABLE");

    postgres.run().await;
    tokio::time::timeout(PATIENCE, engine.owning())
        .await
        .unwrap();
    let started = engine.start_workflow(&namespace(), start("seq", "w")).await;
    assert!(started.unwrap().started);
}
