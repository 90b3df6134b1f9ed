//! Where a worker's activities come in and go to the host, until the worker leaves.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use history::task::{Answers, FromWorker, ToWorker};
use tokio::{sync::mpsc::UnboundedReceiver, time};

use crate::{
    activity::Host,
    driver::{Driver, SLOW},
};

/// How many messages are taken from the engine at a time.
const BATCH: usize = 64;

/// Takes what the engine sends of activities and gives it to the host.
pub(crate) struct Desk {
    pub(crate) tasks: UnboundedReceiver<ToWorker>,
    pub(crate) answers: Answers,
    pub(crate) host: Arc<Host>,
    pub(crate) driver: Driver,
}

impl Desk {
    pub(crate) async fn serve(
        mut self,
        shutdown: impl Future<Output = ()>,
        drain_timeout: Duration,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut watch = time::interval(SLOW);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                taken = self.tasks.recv_many(&mut batch, BATCH) => match taken {
                    0 => return self.lost(),
                    _ => batch.drain(..).for_each(|message| self.take(message)),
                },
                _ = watch.tick() => self.driver.watch.look(Instant::now()),
            }
        }
        // An engine that is gone needs no notice.
        self.answers.send(FromWorker::Draining);
        if time::timeout(drain_timeout, self.drain()).await.is_err() {
            tracing::warn!(
                ?drain_timeout,
                "activities still run after the drain timeout; they are given up"
            );
        }
        self.host.give_up();
    }

    fn take(&self, message: ToWorker) {
        match message {
            ToWorker::ActivityTask(task) => self.host.start(task),
            ToWorker::CancelActivity(token) => self.host.cancel(&token),
            // They go straight to the driver.
            ToWorker::WorkflowTask(_) | ToWorker::Evict(_) => {}
        }
    }

    /// Works off what has come, until nothing is left.
    async fn drain(&mut self) {
        loop {
            while let Ok(message) = self.tasks.try_recv() {
                self.take(message);
            }
            let host = self.host.clone();
            tokio::select! {
                biased;
                message = self.tasks.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
                () = host.idle() => break,
            }
        }
        let (closed, _) = std::sync::mpsc::channel();
        self.driver.messages = Arc::new(closed);
        // The thread may have ended before.
        let _ = (&mut self.driver.ended).await;
    }

    /// Nobody takes the answers of what still runs.
    fn lost(&self) {
        tracing::info!("the engine has closed the connection");
        self.host.give_up();
    }
}
