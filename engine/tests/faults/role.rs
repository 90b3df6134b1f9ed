//! The engine as a role without rights beyond its database, whose settings are not made for it.

use std::time::Duration;

use engine::{Config, Engine, ListRequest, Role, limits::CONNECTIONS_MIN};
use futures::future::join_all;
use uuid::Uuid;

use crate::{
    instance::Instance,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    support::*,
};

/// What an operator may have set for all that this role does: each of these would end sessions or statements of ours, or have them
/// see or write less.
const SETTINGS: [&str; 10] = [
    "statement_timeout = '40ms'",
    "lock_timeout = '10ms'",
    "idle_in_transaction_session_timeout = '10ms'",
    "idle_session_timeout = '500ms'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_deferrable = on",
    "synchronous_commit = off",
    "application_name = 'somebody'",
    "search_path = 'elsewhere'",
];

/// Makes a role with such settings and a database of its own on a server, and returns its URL.
async fn hostile(postgres: &Instance) -> String {
    let superuser = postgres.url();
    execute(&superuser, "CREATE ROLE plain LOGIN").await;
    for setting in SETTINGS {
        execute(&superuser, &format!("ALTER ROLE plain SET {setting}")).await;
    }
    execute(&superuser, "CREATE DATABASE engine OWNER plain").await;
    postgres.url_of("engine").replace("postgres@", "plain@")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_role_whose_settings_are_not_made_for_the_engine_is_enough() {
    let postgres = Instance::start().await;
    let url = hostile(&postgres).await;
    let lease = Duration::from_secs(1);
    let config = || with_lease(&*url, lease);
    let engine = owner_with(config()).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    // A batch waits for longer than the role lets a statement take.
    let other = connect(&postgres.url_of("engine")).await;
    other
        .batch_execute("BEGIN; UPDATE slot SET epoch = epoch")
        .await
        .unwrap();
    let waits = async {
        until(
            &postgres.url_of("engine"),
            "EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'coreason % commit _'
              AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '200 ms')",
        )
        .await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(ledger.run(&engine, "waits", 2), waits);
    ledger.run_many(&engine, 20, 2).await;
    let five = ListRequest {
        page_size: 5,
        ..ListRequest::default()
    };
    let listed = engine.list(&namespace(), &five).await.unwrap();
    assert_eq!(listed.runs.len(), 5);
    assert!(names(&engine, "w0").await.len() > 5);
    // Histories are read by connections that wait for nothing without end.
    let waits = sqlx::query_scalar("SELECT current_setting('lock_timeout')");
    let waits: String = waits.fetch_one(engine.pool()).await.unwrap();
    assert_eq!(waits, "5s");
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    // It leaves, and another one of the same plain role takes over.
    let heir = Engine::open(config()).await.unwrap();
    engine.close().await;
    tokio::time::timeout(PATIENCE, heir.serving(1024))
        .await
        .expect("it takes over");
    keep_working(&heir, sequence(2), echo());
    ledger.run(&heir, &Uuid::new_v4().to_string(), 2).await;
    // Not as that role: the audits of a test are as slow as any.
    ledger.check(&postgres.url_of("engine")).await;
}

/// Notes of each statement that writes what a member is or has done: whose it is, and whether its commit waits for the disk.
const NOTES: &str = "
    CREATE TABLE public.written (session text, durable text);
    GRANT ALL ON public.written TO plain;
    CREATE FUNCTION public.note_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.written
        VALUES (regexp_replace(current_setting('application_name'), '[0-9a-f-]{36} ', ''), current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    DO $$ DECLARE name text; BEGIN
        FOREACH name IN ARRAY ARRAY['cluster', 'member', 'shard_owner', 'slot', 'feed', 'history'] LOOP
            EXECUTE format('CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON public.%I
                            FOR EACH STATEMENT EXECUTE FUNCTION public.note_written()', name);
        END LOOP;
    END $$";

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_member_writes_is_durable_whatever_its_role_says() {
    let postgres = Instance::start().await;
    let url = hostile(&postgres).await;
    let superuser = postgres.url_of("engine");
    let config = || with_lease(&*url, Duration::from_secs(1));
    let engine = owner_with(config()).await;
    execute(&superuser, NOTES).await;
    keep_working(&engine, sequence(2), echo());
    Ledger::default().run(&engine, "w", 2).await;
    let heir = Engine::open(config()).await.unwrap();
    engine.close().await;
    tokio::time::timeout(PATIENCE, heir.serving(1024))
        .await
        .expect("it takes over");
    for session in ["coreason lease", "coreason control", "coreason commit %"] {
        let noted = format!("EXISTS (SELECT FROM public.written WHERE session LIKE '{session}')");
        until(&superuser, &noted).await;
    }
    let not = "SELECT count(*) FROM public.written WHERE durable <> 'on'";
    assert_eq!(number(&superuser, not).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_role_is_none_of_a_members_whatever_it_calls_itself() {
    let postgres = Instance::start().await;
    let url = hostile(&postgres).await;
    let superuser = postgres.url_of("engine");
    let config = || with_lease(&*url, Duration::from_secs(1));
    let engines = [owner_with(config()).await, owner_with(config()).await];
    let serving = join_all(engines.iter().map(|engine| engine.serving(300)));
    tokio::time::timeout(PATIENCE, serving)
        .await
        .expect("they share the shards");
    let stranger = connect(&superuser).await;
    let called = "SELECT set_config('application_name', format('coreason %s commit 1', id), false) FROM member WHERE epoch = 1";
    assert_eq!(stranger.query(called, &[]).await.unwrap().len(), 1);
    // The member loses its lock, and is replaced.
    let lost =
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN member m ON m.epoch = 1
                WHERE a.application_name = format('coreason %s lease', m.id)";
    execute(&superuser, lost).await;
    until(
        &superuser,
        "EXISTS (SELECT FROM former_member WHERE epoch = 1)",
    )
    .await;
    stranger.query("SELECT 1", &[]).await.expect("it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_too_few_connections_is_told_and_with_the_least_it_works() {
    let postgres = Instance::start().await;
    let url = hostile(&postgres).await;
    let allow = async |most: u32| {
        let limit = format!("ALTER ROLE plain CONNECTION LIMIT {most}");
        execute(&postgres.url(), &limit).await;
    };
    allow(CONNECTIONS_MIN - 1).await;

    let told = Engine::open(Config::new(&*url, "http://127.0.0.1:1")).await;
    allow(CONNECTIONS_MIN).await;
    let engine = owner_with(Config::new(&*url, "http://127.0.0.1:1")).await;

    let told = told.err().expect("it is refused");
    assert_eq!(told.code(), "DATABASE_CONNECTIONS_FEW");
    let told = engine::innermost(&told);
    let few = format!("{} connections", CONNECTIONS_MIN - 1);
    assert!(told.contains(&few), "{told}");
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run_many(&engine, 20, 2).await;
    // What histories are read with, all of it at once.
    let reads = (0..20).map(|_| sqlx::query("SELECT pg_sleep(0.05)").execute(engine.pool()));
    for read in join_all(reads).await {
        read.unwrap();
    }
    let (space, all) = (namespace(), ListRequest::default());
    let reads = (0..20).map(|_| engine.list(&space, &all));
    for listed in join_all(reads).await {
        listed.unwrap();
    }
    ledger.check(&postgres.url_of("engine")).await;
}
