//! Heartbeats, at most one to the engine in 0.8 of the timeout and in five seconds: what comes sooner waits, and the latest wins.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use history::{
    Payloads,
    task::{ActivityTask, ActivityTaskAnswer, ActivityTaskToken, Answers, FromWorker},
};
use tokio::runtime::Handle;

/// The longest that a heartbeat waits: after a crash the next attempt hears how far this one came before that.
const INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Sends the heartbeats of an attempt, each when its time has come.
pub(super) struct Heartbeats {
    token: ActivityTaskToken,
    runtime: Handle,
    answers: Answers,
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

impl Heartbeats {
    pub(super) fn new(task: &ActivityTask, runtime: Handle, answers: Answers) -> Arc<Self> {
        let timeout = task.heartbeat_timeout.non_zero();
        let interval = timeout.map_or(INTERVAL_MAX, |timeout| {
            Duration::from(timeout).mul_f64(0.8).min(INTERVAL_MAX)
        });
        Arc::new(Self {
            token: task.token.clone(),
            runtime,
            answers,
            interval,
            state: Mutex::default(),
        })
    }

    /// Whoever sends does so with this: what was taken to be sent is not overtaken by the answer that ends the attempt.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beat(self: &Arc<Self>, details: Payloads) {
        let mut state = self.state();
        match state.beat(details, self.interval, Instant::now()) {
            Next::Send(details) => self.send(details),
            Next::After(wait) => {
                let this = self.clone();
                self.runtime.spawn(async move {
                    tokio::time::sleep(wait).await;
                    let mut state = this.state();
                    if let Some(details) = state.timer(Instant::now()) {
                        this.send(details);
                    }
                });
            }
            Next::Nothing => {}
        }
    }

    /// Sends what waits, before the attempt ends or its run leaves.
    pub(super) fn flush(&self) {
        let mut state = self.state();
        if let Some(details) = state.waiting.take() {
            state.sent_at = Some(Instant::now());
            self.send(details);
        }
    }

    fn send(&self, details: Payloads) {
        // An engine that is gone gives the attempt to another worker.
        self.answers.send(FromWorker::ActivityTask {
            token: self.token.clone(),
            answer: ActivityTaskAnswer::Heartbeat { details },
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        collections::BTreeMap,
        sync::{OnceLock, Weak},
    };

    use history::{
        ActivityId, ActivityType, EventId, Millis, Namespace, RetryPolicy, RunId, Timestamp,
        WorkflowId, WorkflowType,
    };

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

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_attempt_waits_for_a_heartbeat_on_its_way() {
        let this = Arc::new(OnceLock::<Weak<Heartbeats>>::new());
        let (sender, mut sent) = tokio::sync::mpsc::unbounded_channel();
        let attempt = this.clone();
        let answers = Answers::new(move |answer| {
            let heartbeats = attempt.get().and_then(Weak::upgrade).unwrap();
            // An attempt that fails now flushes first, and finds nothing to send.
            let overtaken = heartbeats.state.try_lock().is_ok();
            sender.send((answer, overtaken)).is_ok()
        });
        let heartbeats = Heartbeats::new(&task(), Handle::current(), answers);
        this.set(Arc::downgrade(&heartbeats)).unwrap();
        // One goes out at once, one when its time has come.
        for n in 1..=2 {
            heartbeats.beat(details(n));
        }
        for n in 1..=2 {
            let (answer, overtaken) = sent.recv().await.unwrap();
            assert!(
                matches!(answer, FromWorker::ActivityTask { answer: ActivityTaskAnswer::Heartbeat { details: sent }, .. } if sent == details(n))
            );
            assert!(!overtaken);
        }
    }

    /// Returns a first attempt of an activity.
    pub(in crate::activity) fn task() -> ActivityTask {
        let started_at = Timestamp(1_000_000);
        ActivityTask {
            token: ActivityTaskToken {
                namespace: Namespace::known("default"),
                workflow_id: WorkflowId::known("w"),
                run_id: RunId(uuid::Uuid::from_u128(1)),
                scheduled_event_id: EventId(5),
                attempt: 1,
                incarnation: 1,
            },
            workflow_type: WorkflowType::known("w"),
            activity_id: ActivityId::known("1"),
            activity_type: ActivityType::known("a"),
            header: BTreeMap::new(),
            input: Payloads::default(),
            heartbeat_details: Payloads::default(),
            scheduled_at: started_at,
            attempt_scheduled_at: started_at,
            started_at,
            schedule_to_close_timeout: Millis::ZERO,
            start_to_close_timeout: Millis::ZERO,
            heartbeat_timeout: Millis::seconds(10),
            retry_policy: RetryPolicy::default(),
        }
    }
}
