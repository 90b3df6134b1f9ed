//! The HTTP server of the process.

use axum::serve::ListenerExt as _;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::{app::App, limits::HTTP_DRAIN, router::router};

/// An HTTP server under way.
pub(super) struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers from now on; with `STARTING` until the app has its engine.
    pub(super) fn start(listener: TcpListener, app: App) -> Self {
        let (stop, mut stopping) = watch::channel(false);
        let listener = listener.tap_io(|connection| {
            // A connection that can't have it is only slower.
            let _ = connection.set_nodelay(true);
        });
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
                // The sender is dropped only by stopping.
                let _ = stopping.wait_for(|stop| *stop).await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "the HTTP server failed");
            }
        });
        Self { stop, task }
    }

    /// Takes no new connections and lets open requests end, for [`HTTP_DRAIN`].
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if timeout(HTTP_DRAIN, self.task).await.is_err() {
            abort.abort();
        }
    }
}
