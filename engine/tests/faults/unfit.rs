//! Databases that are no good for what is to be done with them: each says so at the start, in a sentence, and is left as it was.

use engine::{Config, Engine, audit, store};

use crate::{instance::Instance, support::*};

/// The tables of ours in a database.
const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";

/// Opens an engine that is to be refused, and returns the code and what is said.
async fn refused(url: &str) -> (&'static str, String) {
    let config = Config::new(url, "http://127.0.0.1:1");
    let error = Engine::open(config).await.err();
    let error = error.expect("it is refused");
    (error.code(), said(&error))
}

/// Audits a database that is not to be audited, and returns the code and what is said.
async fn unaudited(url: &str) -> (&'static str, String) {
    let audited = async {
        let pool = audit::connect(url).await?;
        audit::check(&pool).await
    };
    let by_rules: store::Error = audited.await.expect_err("it is refused");
    let audited = async {
        let pool = audit::connect(url).await?;
        audit::verify(&pool, audit::Scope::Everything).await
    };
    let by_chains: store::Error = audited.await.expect_err("it is refused");
    assert_eq!(by_chains.code(), by_rules.code(), "{by_chains}");
    (by_rules.code(), said(&by_rules))
}

/// Returns what an error and its causes say.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let said: Vec<String> = causes.map(ToString::to_string).collect();
    let said = said.join(": ");
    assert!(!said.contains(" at line "), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_utf8_is_refused_at_the_start() {
    let postgres = Instance::start().await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let with = format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        let url = postgres.database(&encoding.to_lowercase(), &with).await;

        let (code, said) = refused(&url).await;

        assert_eq!(code, "DATABASE_NOT_UNICODE", "{said}");
        assert!(
            said.contains(encoding) && said.contains("template0"),
            "{said}"
        );
        assert_eq!(number(&url, TABLES).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_or_read_them_is_told_what_it_lacks() {
    let postgres = Instance::start().await;
    execute(&postgres.url(), "CREATE ROLE plain LOGIN").await;
    let url = postgres.database("engine", "").await;
    let plain = url.replace("postgres@", "plain@");

    let (code, said) = refused(&plain).await;

    assert_eq!(code, "MIGRATION_FAILED", "{said}");
    assert!(said.contains("GRANT CREATE ON SCHEMA public"), "{said}");
    assert_eq!(number(&url, TABLES).await, 0);

    owner(&url).await.close().await;
    let (code, said) = unaudited(&plain).await;
    assert_eq!(code, "DATABASE_REFUSED", "{said}");
    assert!(said.contains("GRANT pg_read_all_data"), "{said}");
    // Another one made the tables.
    execute(&url, "GRANT CREATE ON SCHEMA public TO plain").await;
    let (code, said) = refused(&plain).await;
    assert_eq!(code, "MIGRATION_FAILED", "{said}");
    assert!(said.contains("_sqlx_migrations"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_a_database_without_our_tables_says_so() {
    let postgres = Instance::start().await;
    let url = postgres.database("empty", "").await;

    let (code, said) = unaudited(&url).await;

    assert_eq!(code, "NO_DATABASE", "{said}");
    assert!(said.contains("empty on 127.0.0.1"), "{said}");
    assert_eq!(number(&url, TABLES).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_by_an_engine_and_audited_all_the_same() {
    let (mut primary, mut standby) = (Instance::folder(), Instance::folder());
    primary.init(&[]);
    primary.run().await;
    let url = primary.database("engine", "").await;
    owner(&url).await.close().await;
    primary.stop();
    standby.become_standby_of(&primary);
    standby.run().await;

    let (code, said) = refused(&standby.url_of("engine")).await;

    assert_eq!(code, "DATABASE_FAILED", "{said}");
    assert!(said.contains("is a standby"), "{said}");
    let pool = audit::connect(&standby.url_of("engine")).await.unwrap();
    assert_eq!(audit::check(&pool).await.unwrap(), []);
    let everything = audit::Scope::Everything;
    assert!(audit::verify(&pool, everything).await.unwrap().is_sound());
}
