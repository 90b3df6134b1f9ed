//! A database of its own for each test.

use engine::audit;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};
use uuid::Uuid;

/// A fresh, empty database on the server of `COREASON_TEST_DATABASE_URL`; dropped at the end.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Creates it.
    pub(crate) async fn create() -> Self {
        let server = std::env::var("COREASON_TEST_DATABASE_URL")
            .expect("run the tests through ./test, which starts a Postgres");
        let name = format!("story_{}", Uuid::new_v4().simple());
        run(&server, &format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        let (address, options) = self
            .server
            .split_once('?')
            .map_or((self.server.as_str(), ""), |(a, o)| (a, o));
        let authority = address.find("://").map_or(0, |at| at + 3);
        let path = address[authority..]
            .find('/')
            .map_or(address.len(), |at| authority + at);
        let separator = if options.is_empty() { "" } else { "?" };
        format!("{}/{}{separator}{options}", &address[..path], self.name)
    }

    /// Opens a session of somebody else.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url()).await.0
    }

    /// Reads every row of every view in it: none may raise, whatever is stored.
    pub(crate) async fn check_views(&self) {
        let (client, connection) = connect(&self.url()).await;
        let views = client
            .query(
                "SELECT table_name::text FROM information_schema.views WHERE table_schema = 'public'",
                &[],
            )
            .await
            .unwrap();
        assert!(!views.is_empty());
        for view in views {
            let view: String = view.get(0);
            let read = format!("SELECT count(row_to_json(v)::text) FROM {view} v");
            let read = client.query_one(&read, &[]).await;
            assert!(read.is_ok(), "{view}: {read:?}");
        }
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// Asks for every rule of the audit.
    pub(crate) async fn check_rules(&self) {
        let pool = audit::connect(&self.url()).await.unwrap();
        assert_eq!(audit::check(&pool).await.unwrap(), []);
    }

    /// Asks for every rule of the audit and computes every hash chain anew; returns how many events there are.
    pub(crate) async fn check_audit(&self) -> u64 {
        self.check_rules().await;
        let pool = audit::connect(&self.url()).await.unwrap();
        let report = audit::verify(&pool, audit::Scope::Everything)
            .await
            .unwrap();
        assert!(report.is_sound(), "{report:?}");
        report.events
    }

    /// Removes it, whoever is still connected.
    pub(crate) async fn remove(self) {
        run(
            &self.server,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await;
    }
}

async fn run(url: &str, statement: &str) {
    let (client, connection) = connect(url).await;
    client.batch_execute(statement).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

async fn connect(url: &str) -> (Client, JoinHandle<Result<(), Error>>) {
    let (client, connection) = url.parse::<Config>().unwrap().connect(NoTls).await.unwrap();
    (client, tokio::spawn(connection))
}
