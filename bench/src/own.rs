//! Our own engine as programs of their own, so that it is started, loaded and watched as its peers are.

use std::{io::Write as _, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use coreason::App;
use engine::{Config, Engine, seal::Signer};
use history::{
    Millis, Namespace, Payload, Payloads, RequestId, TaskQueue, WorkflowId, WorkflowType,
    decide::StartWorkflow,
};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;
use worker::Worker;

use crate::{load, workflows};

/// An engine that owns the database, and a worker in the same process.
pub(crate) struct Own {
    pub(crate) engine: Engine,
    working: Working,
}

/// A worker that runs beside its engine.
pub(crate) struct Working {
    task: JoinHandle<Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Own {
    /// Opens one that seals with the key in a file, if there is one.
    pub(crate) async fn open(url: &str, seal_key: Option<&Path>) -> Result<Self> {
        let signer = seal_key.map(Signer::open).transpose()?;
        let configure = |config: &mut Config| config.signer = signer.map(Arc::new);
        Self::open_with(url, workflows::worker(), configure).await
    }

    pub(crate) async fn open_with(
        url: &str,
        worker: Worker,
        configure: impl FnOnce(&mut Config),
    ) -> Result<Self> {
        let mut config = Config::new(url, "http://127.0.0.1");
        configure(&mut config);
        let engine = Engine::open(config).await?;
        engine.owning().await;
        let working = Working::begin(&engine, worker);
        Ok(Self { engine, working })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.working.end().await?;
        self.engine.close().await;
        Ok(())
    }
}

impl Working {
    pub(crate) fn begin(engine: &Engine, worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let owner = engine.clone();
        let connect = move |hello, tasks| Ok(owner.connect_worker(hello, tasks)?);
        let task = tokio::spawn(worker.run(connect, async move {
            drop(stopped.await);
        }));
        Self { task, stop }
    }

    pub(crate) async fn end(self) -> Result<()> {
        // The worker ends with its connection; that it is told first only makes it leave in order.
        let _ = self.stop.send(());
        self.task.await?
    }
}

/// Runs the loads that stdin asks for, in this process.
pub(crate) async fn in_process(url: &str, seal_key: Option<&Path>) -> Result<()> {
    let own = Own::open(url, seal_key).await?;
    load::on_stdin(Client(own.engine.clone())).await?;
    own.close().await
}

/// Serves HTTP until stdin ends; says where on stdout.
pub(crate) async fn over_http(url: &str, seal_key: Option<&Path>) -> Result<()> {
    let own = Own::open(url, seal_key).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let routes = coreason::router(App::new(own.engine.clone()));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    own.close().await
}

#[derive(Clone)]
struct Client(Engine);

impl load::Client for Client {
    async fn execute(&mut self, activities: u32) -> Result<()> {
        let (_, closed) = self
            .0
            .execute_workflow(
                &Namespace::known("default"),
                start("sequence", activities),
                Duration::from_mins(1),
            )
            .await?;
        let closed = closed.closed().context("a workflow did not end in time")?;
        anyhow::ensure!(
            closed.status == history::Status::Completed,
            "a workflow ended as {:?}",
            closed.status
        );
        Ok(())
    }
}

/// Returns the start of a workflow of the bench.
pub(crate) fn start(workflow_type: &str, activities: u32) -> StartWorkflow {
    let id = Uuid::new_v4().to_string();
    StartWorkflow {
        workflow_id: WorkflowId::known(&id),
        workflow_type: WorkflowType::known(workflow_type),
        task_queue: TaskQueue::known(workflows::QUEUE),
        input: Payloads::one(Payload::json_text(activities.to_string())),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        request_id: RequestId::known(id),
        identity: None,
        reuse_policy: history::event::WorkflowIdReusePolicy::default(),
        conflict_policy: history::event::WorkflowIdConflictPolicy::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        start_delay: Millis::ZERO,
        memo: history::event::Memo::new(),
        search_attributes: history::event::SearchAttributes::new(),
        header: history::event::Header::new(),
        parent: None,
        continued: None,
    }
}
