//! SIGTERM and SIGINT: the first asks to stop, the second insists on it.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::sleep,
};

use super::Error;

/// The status of a process that signals ended: 128 and SIGINT.
pub(crate) const ENDED: u8 = 130;

/// How long a process may take to end at once. Further signals do not shorten it: they come in threes and fours where a terminal,
/// a script and a supervisor each pass one on, and Postgres is told to shut down meanwhile.
const AT_ONCE_MAX: Duration = Duration::from_secs(5);

/// How urgently the process was asked to stop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shutdown {
    asked: watch::Receiver<Asked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    NotYet,
    InOrder,
    AtOnce,
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
        let (sender, asked) = watch::channel(Asked::NotYet);
        tokio::spawn(listening(terminate, interrupt, sender));
        Ok(Self { asked })
    }

    /// Says whether somebody has asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow() >= Asked::InOrder
    }

    /// Waits until somebody asks to stop.
    pub(crate) async fn asked(&mut self) {
        self.reached(Asked::InOrder).await;
    }

    /// The same, for whoever takes the wait along.
    pub(crate) async fn into_asked(mut self) {
        self.asked().await;
    }

    /// Waits until somebody asks again.
    pub(crate) async fn insisted(&mut self) {
        self.reached(Asked::AtOnce).await;
    }

    async fn reached(&mut self, least: Asked) {
        if self.asked.wait_for(|asked| *asked >= least).await.is_err() {
            // Without a listener nobody can ask.
            std::future::pending::<()>().await;
        }
    }
}

/// What comes so soon after the first signal is the same wish: `timeout` and terminals signal a process and then its group.
const SAME_WISH: Duration = Duration::from_millis(100);

async fn listening(mut terminate: Signal, mut interrupt: Signal, asked: watch::Sender<Asked>) {
    for how in [Asked::InOrder, Asked::AtOnce] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.send_replace(how);
        if how == Asked::InOrder {
            sleep(SAME_WISH).await;
            // One of each kind may be pending.
            let _ = terminate.recv().now_or_never();
            let _ = interrupt.recv().now_or_never();
        }
    }
    sleep(AT_ONCE_MAX).await;
    std::process::exit(ENDED.into());
}
