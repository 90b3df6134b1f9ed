//! Where a worker's activities come in and go to the host, until the worker leaves.

use std::{future::Future, sync::Arc, time::Duration};

use history::task::{Answers, FromWorker, ToWorker};
use tokio::{sync::mpsc::UnboundedReceiver, time};

use crate::{activity::Host, driver::Driver};

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
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>, drain_timeout: Duration) {
        let Self {
            mut tasks,
            answers,
            host,
            driver,
        } = self;
        let work = async {
            if !until(&mut tasks, &host, shutdown).await {
                return tracing::info!("the engine has closed the connection");
            }
            // An engine that is gone needs no notice.
            answers.send(FromWorker::Draining);
            host.leave();
            if let Some(running) = host.names() {
                tracing::info!(?drain_timeout, "the worker leaves; it waits for {running}");
            }
            let drained = time::timeout(drain_timeout, drain(&mut tasks, &host, &driver)).await;
            if drained.is_err() {
                let names = [host.names(), driver.names()].into_iter().flatten();
                let mut left = names.collect::<Vec<_>>().join(", ");
                if left.is_empty() {
                    "workflow tasks that wait".clone_into(&mut left);
                }
                tracing::warn!(?drain_timeout, "given up after the drain timeout: {left}");
            }
        };
        tokio::select! {
            () = work => {}
            never = driver.watch() => match never {},
            never = host.watch() => match never {},
        }
        host.give_up();
    }
}

/// Works until the shutdown, or until the engine is gone; says which.
async fn until(
    tasks: &mut UnboundedReceiver<ToWorker>,
    host: &Arc<Host>,
    shutdown: impl Future<Output = ()>,
) -> bool {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return true,
            taken = tasks.recv_many(&mut batch, BATCH) => match taken {
                0 => return false,
                _ => batch.drain(..).for_each(|message| take(host, message)),
            },
        }
    }
}

fn take(host: &Arc<Host>, message: ToWorker) {
    match message {
        ToWorker::ActivityTask(task) => host.start(task),
        ToWorker::CancelActivity(token) => host.cancel(&token),
        ToWorker::HeartbeatWanted(token) => host.flush(&token),
        ToWorker::ActivityRefused { token, problem } => {
            tracing::warn!(
                workflow_id = %token.workflow_id,
                run_id = %token.run_id,
                scheduled_event_id = %token.scheduled_event_id,
                attempt = token.attempt,
                problem,
                "what an activity said was refused, and its attempt has failed"
            );
            host.cancel(&token);
        }
        // They go straight to the driver.
        ToWorker::WorkflowTask(_) | ToWorker::Evict(_) => {}
    }
}

/// Works off what has come, until nothing is left.
async fn drain(tasks: &mut UnboundedReceiver<ToWorker>, host: &Arc<Host>, driver: &Driver) {
    loop {
        while let Ok(message) = tasks.try_recv() {
            take(host, message);
        }
        tokio::select! {
            biased;
            message = tasks.recv() => match message {
                Some(message) => take(host, message),
                None => break,
            },
            () = host.idle() => break,
        }
    }
    driver.drained().await;
}
