//! An engine with its HTTP server and a worker, all in the test's process.

use engine::{Config, Engine};
use tokio::{net::TcpListener, task::JoinHandle};
use worker::{BuildError, Worker};

use super::{client::Client, database::Database, workflows};

/// A server that is ready.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) address: String,
    engine: Engine,
    database: Database,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server whose worker has the workflows of [`workflows`], on the task queue `default`.
    pub(crate) async fn start() -> Self {
        let mut server = Self::start_without_worker().await;
        server.run(workflows::worker());
        server
    }

    /// Starts a server that nobody works for.
    pub(crate) async fn start_without_worker() -> Self {
        Self::on(Database::create().await).await
    }

    async fn on(database: Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let engine = Engine::open(Config::new(database.url(), &address))
            .await
            .unwrap();
        engine.owning().await;
        let app = coreason::App::new(engine.clone());
        let serving =
            tokio::spawn(
                async move { axum::serve(listener, coreason::router(app)).await.unwrap() },
            );
        Self {
            client: Client::new(&address),
            address,
            engine,
            database,
            tasks: vec![serving],
        }
    }

    /// Connects a worker.
    pub(crate) fn run(&mut self, worker: Worker) {
        let engine = self.engine.clone();
        self.tasks.push(tokio::spawn(async move {
            let connect =
                |hello, tasks| Ok::<_, BuildError>(engine.connect_worker(hello, tasks).unwrap());
            worker.run(connect, std::future::pending()).await.unwrap();
        }));
    }

    /// Returns its engine.
    pub(crate) fn engine(&self) -> Engine {
        self.engine.clone()
    }

    /// Returns the routes, to be called without HTTP between.
    pub(crate) fn router(&self) -> axum::Router {
        coreason::router(coreason::App::new(self.engine.clone()))
    }

    /// Returns the URL of its database.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// Opens a session of somebody else on its database.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        self.database.connect().await
    }

    /// Reads every view of its database.
    pub(crate) async fn check_views(&self) {
        self.database.check_views().await;
    }

    /// Asks for every rule of the audit and computes every hash chain anew.
    pub(crate) async fn check_audit(&self) {
        self.database.check_audit().await;
    }

    /// Stops everything, and starts a server with the workflows of [`workflows`] on what is recorded.
    pub(crate) async fn restart(self) -> Self {
        let mut server = Self::on(self.halt().await).await;
        server.run(workflows::worker());
        server
    }

    /// Stops everything and drops the database.
    pub(crate) async fn stop(self) {
        self.halt().await.remove().await;
    }

    pub(crate) async fn halt(self) -> Database {
        self.engine.close().await;
        for task in self.tasks {
            task.abort();
        }
        self.database
    }
}
