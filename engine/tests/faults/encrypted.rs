//! TLS to Postgres: each `sslmode` against real servers with real certificates, on all connections of an engine.

use std::{fs, path::PathBuf};

use engine::{Config, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use crate::{
    instance::Instance,
    lease::with_lease,
    ledger::{Ledger, keep_working},
    support::*,
};

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Signs a certificate, and returns it with its key.
    fn sign(&self, names: &[&str], common_name: &str) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server that speaks TLS, and files of a client.
struct Server {
    postgres: Instance,
    /// Who signed the server's certificate.
    root: PathBuf,
    /// Somebody else.
    stranger: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Server {
    /// Starts one whose certificate is for `localhost`. `rules` say who may connect.
    async fn start(rules: &str) -> Self {
        let mut postgres = Instance::folder();
        postgres.init(&[]);
        let dir = postgres.dir.clone();
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
        let (certificate, key) = authority.sign(&["localhost"], "server");
        let settings = [
            "ssl = on".to_owned(),
            format!("ssl_ca_file = '{}'", postgres.own("ca.crt", &authority.pem)),
            format!(
                "ssl_cert_file = '{}'",
                postgres.own("server.crt", &certificate)
            ),
            format!("ssl_key_file = '{}'", postgres.own("server.key", &key)),
        ];
        postgres.settle(&settings.join("\n"), rules);
        let (certificate, key) = authority.sign(&[], "postgres");
        postgres.run().await;
        Self {
            root: file("root.crt", &authority.pem),
            stranger: file("stranger.crt", &stranger.pem),
            certificate: file("client.crt", &certificate),
            key: file("client.key", &key),
            postgres,
        }
    }

    /// Returns a URL with parameters.
    fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.postgres.port;
        format!("postgres://postgres@{host}:{port}/postgres?{parameters}")
    }

    fn root(&self) -> String {
        format!("sslrootcert={}", self.root.display())
    }

    fn stranger(&self) -> String {
        format!("sslrootcert={}", self.stranger.display())
    }

    fn client(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("sslcert={certificate}&sslkey={key}")
    }
}

/// Opens an engine, and closes it again.
async fn opens(url: &str) -> Result<(), String> {
    match Engine::open(Config::new(url, "http://127.0.0.1:1")).await {
        Ok(engine) => {
            tokio::time::timeout(PATIENCE, engine.owning())
                .await
                .expect("the engine owns");
            engine.close().await;
            Ok(())
        }
        Err(error) => Err(error.code().to_owned()),
    }
}

const ALL: &str = "host all all 127.0.0.1/32 trust\nhost all all ::1/128 trust";

#[tokio::test(flavor = "multi_thread")]
async fn each_sslmode_asks_for_what_libpq_says() {
    let server = Server::start(ALL).await;
    let (root, stranger) = (server.root(), server.stranger());
    let failed = || Err("DATABASE_TLS_FAILED".to_owned());
    for (host, parameters, expected) in [
        ("localhost", "sslmode=disable".to_owned(), Ok(())),
        ("localhost", "sslmode=prefer".to_owned(), Ok(())),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok(())),
        // As libpq has it: with a root certificate it is verified.
        ("127.0.0.1", format!("sslmode=require&{root}"), Ok(())),
        ("127.0.0.1", format!("sslmode=require&{stranger}"), failed()),
        ("127.0.0.1", format!("sslmode=verify-ca&{root}"), Ok(())),
        (
            "localhost",
            format!("sslmode=verify-ca&{stranger}"),
            failed(),
        ),
        ("localhost", format!("sslmode=verify-full&{root}"), Ok(())),
        ("127.0.0.1", format!("sslmode=verify-full&{root}"), failed()),
        (
            "localhost",
            format!("sslmode=verify-full&{stranger}"),
            failed(),
        ),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=/nowhere".to_owned(),
            Err("DATABASE_ADDRESS_INVALID".to_owned()),
        ),
    ] {
        let url = server.url(host, &parameters);
        assert_eq!(opens(&url).await, expected, "{url}");
    }
    // This one lets nobody in who speaks TLS.
    let shy = Server::start("hostnossl all all all trust").await;
    for (mode, expected) in [
        ("prefer", Ok(())),
        ("require", Err("DATABASE_REFUSED".to_owned())),
    ] {
        let url = shy.url("localhost", &format!("sslmode={mode}"));
        assert_eq!(opens(&url).await, expected, "{url}");
    }
    // The other server has no TLS.
    let plain = Instance::start().await;
    let url = plain.url();
    assert_eq!(opens(&format!("{url}?sslmode=prefer")).await, Ok(()));
    for mode in ["require".to_owned(), format!("verify-ca&{root}")] {
        assert_eq!(opens(&format!("{url}?sslmode={mode}")).await, failed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_are_encrypted_and_show_the_clients_certificate() {
    // Whoever speaks TLS and shows no certificate of ours with the user's name in it is not let in.
    let rules = "hostssl all all all cert\nhostnossl all all 127.0.0.1/32 trust";
    let server = Server::start(rules).await;
    let (root, client) = (server.root(), server.client());
    let url = server.url("localhost", &format!("sslmode=verify-full&{root}"));
    assert!(opens(&url).await.is_err(), "without a certificate");
    let url = format!("{url}&{client}");
    let engine = owner_with(Config::new(&*url, "http://127.0.0.1:1")).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run_many(&engine, 20, 2).await;
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'coreason%' AND NOT (ssl AND client_dn IS NOT NULL)";
    let pool = engine.pool();
    let plain: i64 = sqlx::query_scalar(plain).fetch_one(pool).await.unwrap();
    assert_eq!(plain, 0);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_follows_a_server_that_comes_to_want_the_other_way() {
    let rules = |takes: &str, rejects: &str| {
        format!("{takes} engine all all trust\n{rejects} engine all all reject\n{ALL}")
    };
    let plain = rules("hostnossl", "hostssl");
    let encrypted = rules("hostssl", "hostnossl");
    let mut server = Server::start(&plain).await;
    server.postgres.database("engine", "").await;
    let port = server.postgres.port;
    let url = format!("postgres://postgres@localhost:{port}/engine?sslmode=prefer");
    let engine = owner_with(with_lease(&*url, std::time::Duration::from_secs(1))).await;
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run(&engine, "plain", 2).await;
    for (rules, name) in [(encrypted, "encrypted"), (plain, "plain again")] {
        server.postgres.stop();
        server.postgres.settle("", &rules);
        server.postgres.run().await;
        // It is a member again, by new sessions.
        ledger.run(&engine, name, 2).await;
        let with_tls: Vec<bool> = sqlx::query_scalar(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'coreason%'",
        )
        .fetch_all(engine.pool())
        .await
        .unwrap();
        assert_eq!(with_tls, [name == "encrypted"], "{name}");
    }
    engine.close().await;
}

/// What no client of today speaks.
const OUTDATED: &str = "ssl_max_protocol_version = 'TLSv1.2'\nssl_ciphers = 'AES128-SHA256'";

#[tokio::test(flavor = "multi_thread")]
async fn why_tls_failed_is_told_where_the_server_does_not_go_without() {
    let rules = format!("hostssl engine all all trust\nhostnossl engine all all reject\n{ALL}");
    let mut server = Server::start(&rules).await;
    server.postgres.database("engine", "").await;
    server.postgres.stop();
    server.postgres.settle(OUTDATED, &rules);
    server.postgres.run().await;
    let port = server.postgres.port;
    let url = format!("postgres://postgres@localhost:{port}/engine?sslmode=prefer");
    let told = match Engine::open(Config::new(url, "http://127.0.0.1:1")).await {
        Err(engine::Error::Store(error)) => error,
        answer => panic!("the store says so, not {:?}", answer.err()),
    };
    assert_eq!(told.code(), "DATABASE_REFUSED");
    let told = told.to_string();
    for part in ["no encryption", "TLS", "HandshakeFailure"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_that_takes_writes_is_found_again_when_it_moves() {
    let (mut first, mut second) = (Instance::folder(), Instance::folder());
    first.init(&[]);
    first.run().await;
    first.database("engine", "").await;
    // With the schema; what is written later the other one does not receive.
    assert_eq!(opens(&first.url_of("engine")).await, Ok(()));
    // A copy that recovers takes no writes until it is promoted.
    first.stop();
    second.become_standby_of(&first);
    first.run().await;
    second.run().await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/engine?target_session_attrs=read-write",
        second.port, first.port
    );
    let engine = owner_with(with_lease(&*url, std::time::Duration::from_secs(1))).await;
    keep_working(&engine, sequence(2), echo());
    Ledger::default().run(&engine, "before", 2).await;
    first.stop();
    second.stop();
    second.end_recovery();
    second.run().await;
    // What it did not receive is lost and told; what is there goes on.
    let after = Ledger::default();
    after.run(&engine, "after", 2).await;
    after.check(&second.url_of("engine")).await;
}
