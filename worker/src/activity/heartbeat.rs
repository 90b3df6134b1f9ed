//! Heartbeats, at most one to the engine in 0.8 of the timeout: what comes sooner waits, and the latest wins.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use history::{Millis, Payloads, task::FromWorker};

use super::running::Running;

/// The time between heartbeats that no timeout asks for; they only tell the next attempt how far this one came.
pub(crate) const UNTIMED_INTERVAL: Duration = Duration::from_secs(30);

/// Decides when a heartbeat goes out.
pub(crate) struct Throttle {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent_at: Option<Instant>,
    /// The details that wait for their time.
    waiting: Option<Payloads>,
    /// Somebody will send what waits.
    timed: bool,
}

/// What to do with a heartbeat.
#[derive(Debug, PartialEq)]
enum Next {
    Send(Payloads),
    /// Send what waits then, after this time.
    After(Duration),
    /// Somebody else will.
    Nothing,
}

impl State {
    fn beat(&mut self, details: Payloads, interval: Duration, now: Instant) -> Next {
        let due = self.sent_at.map(|sent| sent + interval);
        match due.and_then(|due| due.checked_duration_since(now)) {
            Some(wait) if !wait.is_zero() => {
                self.waiting = Some(details);
                if std::mem::replace(&mut self.timed, true) {
                    Next::Nothing
                } else {
                    Next::After(wait)
                }
            }
            _ => {
                self.sent_at = Some(now);
                self.waiting = None;
                Next::Send(details)
            }
        }
    }

    fn timer(&mut self, now: Instant) -> Option<Payloads> {
        self.timed = false;
        let details = self.waiting.take()?;
        self.sent_at = Some(now);
        Some(details)
    }
}

impl Throttle {
    pub(super) fn new(timeout: Millis) -> Self {
        let interval = timeout.non_zero().map_or(UNTIMED_INTERVAL, |timeout| {
            Duration::from(timeout).mul_f64(0.8)
        });
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn beat(&self, running: &Arc<Running>, details: Payloads) {
        let interval = self.interval;
        match self.state(|state| state.beat(details, interval, Instant::now())) {
            Next::Send(details) => send(running, details),
            Next::After(wait) => {
                let running = running.clone();
                running.host.runtime.clone().spawn(async move {
                    tokio::time::sleep(wait).await;
                    if let Some(details) = running
                        .heartbeats
                        .state(|state| state.timer(Instant::now()))
                    {
                        send(&running, details);
                    }
                });
            }
            Next::Nothing => {}
        }
    }

    /// Sends what waits, before the attempt ends.
    pub(super) fn flush(&self, running: &Running) {
        if let Some(details) = self.state(|state| state.waiting.take()) {
            send(running, details);
        }
    }
}

fn send(running: &Running, details: Payloads) {
    running.host.send(FromWorker::ActivityHeartbeat {
        token: running.task.token.clone(),
        details,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(n: u32) -> Payloads {
        Payloads::one(history::Payload::json(&n).unwrap())
    }

    #[test]
    fn the_first_heartbeat_goes_out_and_of_those_too_soon_the_latest() {
        let interval = Duration::from_secs(8);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut state = State::default();
        assert_eq!(
            state.beat(details(1), interval, at(0)),
            Next::Send(details(1))
        );
        assert_eq!(
            state.beat(details(2), interval, at(3)),
            Next::After(Duration::from_secs(5))
        );
        assert_eq!(state.beat(details(3), interval, at(4)), Next::Nothing);
        assert_eq!(state.timer(at(8)), Some(details(3)));
        assert_eq!(state.timer(at(16)), None);
        assert_eq!(
            state.beat(details(4), interval, at(16)),
            Next::Send(details(4))
        );
    }
}
