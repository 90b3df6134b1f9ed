//! SIGTERM and SIGINT: the first asks to stop, the second ends the process.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::Error;

/// The status of a process that a second signal ended: 128 and SIGINT.
const ENDED: i32 = 130;

/// Whether the process was asked to stop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shutdown {
    asked: watch::Receiver<bool>,
}

impl Shutdown {
    /// Listens for signals from now on.
    pub(crate) fn on_signals() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|source| Error::Io {
                doing: "listen for signals",
                source,
            })
        };
        let (terminate, interrupt) = (
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        );
        let (sender, asked) = watch::channel(false);
        tokio::spawn(listening(terminate, interrupt, sender));
        Ok(Self { asked })
    }

    /// Says whether somebody has asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until somebody asks to stop.
    pub(crate) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // Without a listener nobody can ask.
            std::future::pending::<()>().await;
        }
    }
}

async fn listening(mut terminate: Signal, mut interrupt: Signal, asked: watch::Sender<bool>) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if asked.send_replace(true) {
            std::process::exit(ENDED);
        }
    }
}
