//! A worker inside a simulated process: runs programs and activities, now and then slowly, now and then not to the end.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use history::{
    BuildId, Event, EventId, Failure, Identity, Payloads, RunId,
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{
        ActivityTask, ActivityTaskAnswer, ActivityTaskToken, FromWorker, Tasks, ToWorker,
        WorkerHello, WorkflowTask, WorkflowTaskAnswer,
    },
};
use tokio::sync::{mpsc, watch};

use super::{
    namespace::ns,
    network::Network,
    odds::Odds,
    program::{self, Activity},
    store::Memory,
    world::{SIMULATED, chance, dawdle},
};
use crate::{membership::Membership, owner::message::Message, words::SessionId};

/// What happened outside of the engine: each activity that may not run for ever, and how often it did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) attempts: BTreeMap<(RunId, EventId), u32>,
}

/// What all workers of a simulation share.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) memory: Memory,
    pub(super) network: Network,
    pub(super) ledger: Arc<std::sync::Mutex<Ledger>>,
    /// How many tasks of each kind a worker takes at once.
    pub(super) slots: u32,
    /// Each process serves a queue of its own.
    pub(super) apart: bool,
    /// After about how many tasks a worker leaves and comes again; 0 for never.
    pub(super) leaves_after: u32,
}

impl Outside {
    pub(super) fn new(odds: Odds, (slots, apart): (u32, bool), leaves_after: u32) -> Self {
        let memory = Memory::new(odds);
        Self {
            network: Network::new(memory.clone()),
            memory,
            ledger: Arc::default(),
            slots,
            apart,
            leaves_after,
        }
    }
}

/// Works for the engine of its process whenever that owns.
pub(super) async fn work(outside: Outside, process: usize, mut state: watch::Receiver<Membership>) {
    loop {
        let owner = match state
            .wait_for(|state| matches!(state, Membership::Member { .. }))
            .await
        {
            Ok(state) => match &*state {
                Membership::Member { sender, .. } => sender.clone(),
                Membership::Leaving { .. } | Membership::Outside { .. } => continue,
            },
            Err(_) => return,
        };
        let (sender, mut inbox) = mpsc::unbounded_channel();
        let tasks = Tasks::new(move |task| sender.send(task).is_ok());
        let session = SessionId::new(SIMULATED);
        let hello = WorkerHello {
            identity: Identity::known("simulated"),
            namespace: ns().name,
            task_queue: program::queue(outside.apart.then_some(process)),
            workflow_slots: outside.slots,
            activity_slots: outside.slots,
            build_id: BuildId::known("simulated"),
        };
        let connect = Message::Connect {
            session,
            namespace: ns(),
            hello,
            tasks,
        };
        if owner.send(connect).is_err() {
            dawdle(20).await;
            continue;
        }
        let mut cached = Cached::default();
        let mut running: FuturesUnordered<BoxFuture<'static, FromWorker>> = FuturesUnordered::new();
        let mut attempts = HashSet::new();
        let mut left = match outside.leaves_after {
            0 => u32::MAX,
            about => chance(|rng| rng.u32(1..about * 2)),
        };
        while left > 0 {
            tokio::select! {
                biased;
                Some(answer) = running.next(), if !running.is_empty() => {
                    // What was canceled is answered already.
                    if attempt_of(&answer).is_some_and(|token| !attempts.remove(token)) {
                        continue;
                    }
                    if owner.send(Message::Worker { session, answer }).is_err() {
                        break;
                    }
                    left -= 1;
                }
                task = inbox.recv() => match task {
                    Some(ToWorker::WorkflowTask(task)) => running.push(turn(&outside, &mut cached, task)),
                    Some(ToWorker::ActivityTask(task)) => {
                        let activity: Activity = program::read(&task.input);
                        if activity.beats {
                            let beat = FromWorker::ActivityTask { token: task.token.clone(), answer: ActivityTaskAnswer::Heartbeat { details: program::json(&task.token.attempt) } };
                            if owner.send(Message::Worker { session, answer: beat }).is_err() {
                                break;
                            }
                        }
                        if !attempts.insert(task.token.clone()) {
                            // It would answer for one of them.
                            outside.memory.state().checks.violated(format!(
                                "{}: a worker has {} twice by one token",
                                task.token.run_id, task.token.scheduled_event_id
                            ));
                        }
                        running.push(act(&outside, &task, &activity));
                    }
                    Some(ToWorker::Evict(run_id)) => cached.evict(run_id),
                    Some(ToWorker::CancelActivity(token)) => {
                        // Half of the code does not look whether it is canceled.
                        if chance(fastrand::Rng::bool) && attempts.remove(&token) {
                            let details = Payloads::default();
                            let canceled = FromWorker::ActivityTask { token, answer: ActivityTaskAnswer::Canceled { details } };
                            if owner.send(Message::Worker { session, answer: canceled }).is_err() {
                                break;
                            }
                        }
                    }
                    Some(ToWorker::HeartbeatWanted(_) | ToWorker::ActivityRefused { .. }) => {}
                    None => break,
                }
            }
        }
        let _ = owner.send(Message::Disconnect { session });
        drop(running);
        dawdle(20).await;
    }
}

/// Returns the attempt that an answer ends.
fn attempt_of(answer: &FromWorker) -> Option<&ActivityTaskToken> {
    match answer {
        FromWorker::ActivityTask { token, answer } => answer.ends_attempt().then_some(token),
        FromWorker::WorkflowTask { .. } | FromWorker::Draining => None,
    }
}

/// The histories that a worker knows.
#[derive(Default)]
struct Cached {
    /// With the folding that they are of.
    runs: HashMap<RunId, (u64, Vec<Arc<Event>>)>,
    /// Those that it was told to forget at some time: an owner that gave the run up may say so after the next one has sent a task.
    evicted: HashSet<RunId>,
}

impl Cached {
    fn evict(&mut self, run_id: RunId) {
        self.runs.remove(&run_id);
        self.evicted.insert(run_id);
    }
}

/// Runs workflow code.
fn turn(
    outside: &Outside,
    cached: &mut Cached,
    task: WorkflowTask,
) -> BoxFuture<'static, FromWorker> {
    let incarnation = task.token.incarnation;
    let (of, events) = cached.runs.entry(task.token.run_id).or_default();
    let first = task.events.first().map_or(1, |event| event.id.0);
    if first == 1 {
        events.clear();
        *of = incarnation;
    }
    let forgotten = events.is_empty() && cached.evicted.contains(&task.token.run_id);
    // An owner that has lost the run may have sent it before, and it comes late.
    let of_another = !events.is_empty() && *of != incarnation;
    if of_another || i64::try_from(events.len()) != Ok(first - 1) {
        if forgotten || of_another {
            let reset = FromWorker::WorkflowTask {
                token: task.token,
                answer: WorkflowTaskAnswer::Failed {
                    cause: WorkflowTaskFailedCause::ResetStickyTaskQueue,
                    failure: Box::new(Failure::application("evicted", "Evicted", false)),
                },
            };
            return std::future::ready(reset).boxed();
        }
        let violation = format!(
            "{}: a worker that knows {} events was sent those from {first} on",
            task.token.run_id,
            events.len()
        );
        outside.memory.state().checks.violated(violation);
    }
    events.extend(task.events);
    let commands = program::run(events);
    async move {
        dawdle(if chance(|rng| rng.u32(0..20)) == 0 {
            60
        } else {
            3
        })
        .await;
        FromWorker::WorkflowTask {
            token: task.token,
            answer: WorkflowTaskAnswer::Completed {
                commands,
                sdk_metadata: SdkMetadata::default(),
                sticky: true,
                unread_signals: Vec::new(),
            },
        }
    }
    .boxed()
}

/// Runs an attempt of an activity.
fn act(
    outside: &Outside,
    task: &ActivityTask,
    activity: &Activity,
) -> BoxFuture<'static, FromWorker> {
    let (token, task) = (task.token.clone(), task.clone());
    let (outside, activity) = (outside.clone(), activity.clone());
    async move {
        {
            let mut state = outside.memory.state();
            if let Err(violation) = state.checks.may_run(token.run_id, token.scheduled_event_id) {
                state.checks.violated(violation);
            }
            if let Err(violation) = state.checks.handed_out(&task) {
                state.checks.violated(violation);
            }
            let mut ledger = outside.ledger.lock().unwrap();
            if activity.attempts > 0 {
                let times = ledger
                    .attempts
                    .entry((token.run_id, token.scheduled_event_id))
                    .or_default();
                *times += 1;
                // That the first attempt of its first owner started need not be known when that one dies.
                let most = activity.attempts + u32::from(activity.attempts > 1);
                if *times > most {
                    state.checks.violated(format!(
                        "{}: {} may run {} times and ran {times} times",
                        token.run_id, token.scheduled_event_id, activity.attempts
                    ));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(activity.millis)).await;
        if token.attempt <= activity.fails {
            let failure = Failure::application("planned", "Planned", activity.attempts == 1);
            FromWorker::ActivityTask {
                token,
                answer: ActivityTaskAnswer::Failed {
                    failure: Box::new(failure),
                },
            }
        } else {
            FromWorker::ActivityTask {
                token,
                answer: ActivityTaskAnswer::Completed {
                    result: program::json(&activity.value),
                },
            }
        }
    }
    .boxed()
}
