//! SIGTERM, SIGINT and SIGHUP: the first asks to stop, a second SIGTERM or SIGINT insists on it, or ends the delay first.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt as _, future::select_all};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// The status of a process that signals ended: 128 and SIGINT.
pub(crate) const ENDED: u8 = 130;

/// How long a process may take to end at once. Further signals do not shorten it: they come in threes and fours where a terminal,
/// a script and a supervisor each pass one on, and Postgres is told to shut down meanwhile.
const AT_ONCE_MAX: Duration = Duration::from_secs(5);

/// How urgently the process was asked to stop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shutdown {
    asked: watch::Receiver<Asked>,
    /// How long it goes on as ever after the first signal.
    delay: Arc<OnceLock<Duration>>,
}

/// The machine gives no signals.
#[derive(Debug, thiserror::Error)]
#[error("can't listen for signals")]
pub(crate) struct NoSignals(#[source] io::Error);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    NotYet,
    /// It will be, when the delay is over.
    Soon,
    InOrder,
    AtOnce,
}

impl Shutdown {
    /// Listens for signals from now on.
    ///
    /// # Errors
    /// When the machine gives none.
    pub(crate) fn on_signals() -> Result<Self, NoSignals> {
        Self::listen().map_err(NoSignals)
    }

    fn listen() -> io::Result<Self> {
        let signals = vec![
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ];
        let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = if ignores_hangup(&own) {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        let (sender, asked) = watch::channel(Asked::NotYet);
        let delay = Arc::default();
        tokio::spawn(listening(signals, hangup, Arc::clone(&delay), sender));
        Ok(Self { asked, delay })
    }

    /// From now on it is known for so long that the process will stop, before it does.
    pub(crate) fn delays(&self, delay: Duration) {
        // There is one delay per process.
        let _ = self.delay.set(delay);
    }

    /// Says whether somebody has asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow() >= Asked::InOrder
    }

    /// Waits until it is known that the process will stop.
    pub(crate) async fn announced(&mut self) {
        self.reached(Asked::Soon).await;
    }

    /// Waits until somebody asks to stop, and the delay is over.
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

async fn listening(
    mut signals: Vec<Signal>,
    mut hangup: Option<Signal>,
    delay: Arc<OnceLock<Duration>>,
    asked: watch::Sender<Asked>,
) {
    let all = signals.iter_mut().chain(&mut hangup);
    select_all(all.map(|signal| signal.recv().boxed())).await;
    let delay = delay.get().copied().unwrap_or_default();
    if !delay.is_zero() {
        tracing::info!(
            ?delay,
            "asked to stop; it goes on as ever until the delay is over, or a second signal ends that"
        );
    }
    let in_order_at = Instant::now() + delay;
    asked.send_replace(Asked::Soon);
    if delay.is_zero() {
        asked.send_replace(Asked::InOrder);
        same_wish(&mut signals).await;
    } else {
        same_wish(&mut signals).await;
        // Told again, or over.
        let _ = timeout_at(in_order_at, another(&mut signals)).await;
        asked.send_replace(Asked::InOrder);
        same_wish(&mut signals).await;
    }
    another(&mut signals).await;
    asked.send_replace(Asked::AtOnce);
    sleep(AT_ONCE_MAX).await;
    std::process::exit(ENDED.into());
}

/// Takes those that come so soon after one that they mean the same.
async fn same_wish(signals: &mut [Signal]) {
    sleep(SAME_WISH).await;
    // One of each kind may be pending.
    for signal in signals {
        let _ = signal.recv().now_or_never();
    }
}

/// Waits for another signal. The end of a terminal is told by the shell and by the system: it never insists.
async fn another(signals: &mut [Signal]) {
    select_all(signals.iter_mut().map(|signal| signal.recv().boxed())).await;
}

/// Says, from the status of a process, whether it was started so that the end of a terminal does not reach it, as `nohup` does.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first bit is the first signal.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_under_nohup_ignores_the_end_of_its_terminal() {
        let status = |mask| format!("Name:\tcoreason\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(""));
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_delay_and_not_the_process() {
        let signals = vec![signal(SignalKind::user_defined1()).unwrap()];
        let (sender, mut asked) = watch::channel(Asked::NotYet);
        let delay = Arc::new(OnceLock::from(Duration::from_hours(1)));
        tokio::spawn(listening(signals, None, delay, sender));
        let ask = || nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1).unwrap();

        ask();
        asked.wait_for(|asked| *asked == Asked::Soon).await.unwrap();
        // What comes too soon is the same wish.
        while *asked.borrow() < Asked::InOrder {
            ask();
            sleep(Duration::from_millis(5)).await;
        }

        assert_eq!(*asked.borrow(), Asked::InOrder);
    }
}
