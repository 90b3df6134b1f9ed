//! Runs that left memory while an activity of theirs waits in a queue, and a worker of it that comes with one slot and never answers.

use std::time::Duration;

use history::{BuildId, Identity, WorkflowId, task::WorkerHello};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    client::start,
    namespace::ns,
    odds::Odds,
    planted::{self, Bug},
    program::{self, Activity, Step},
    run::{SHARED, Simulation, runtime},
    scenario::Scenario,
    scenario::waiting,
    world,
};

/// How many runs wait.
const RUNS: usize = 20;
/// A process whose queue no worker serves.
const NOBODY: usize = 7;

/// What was seen of a backlog.
pub(super) struct Queued {
    /// The most runs that were asked for at once, for the one slot.
    pub(super) most_asked: usize,
    /// Those whose timers, which came while the runs were read, did not fire.
    pub(super) asleep: Vec<WorkflowId>,
}

/// Lets runs wait out of memory for a worker and for a timer, and has the worker come shortly before the timers do.
pub(super) fn queued(seed: u64, bug: Option<Bug>) -> Queued {
    planted::plant(bug);
    runtime().block_on(async {
        world::begin(seed);
        let scenario = Scenario {
            slots: 100,
            memory_bytes: 0,
            ..Scenario::quiet()
        };
        let simulation = Simulation::of(&scenario, 1);
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let due = Instant::now() + Duration::from_secs(10);
        let ids: Vec<_> = (0..RUNS)
            .map(|n| WorkflowId::known(format!("w{n}")))
            .collect();
        for id in &ids {
            let left = due.saturating_duration_since(Instant::now()).as_millis();
            let millis = u64::try_from(left).unwrap();
            let both = Step::All(vec![Step::Activity(unserved()), Step::Timer { millis }]);
            let started = simulation.start(start(id, "start", &waiting(both))).await;
            started.unwrap();
        }
        sleep_until(due - Duration::from_millis(200)).await;
        state().odds.slow = 1000;
        state().odds.short_reads = 1000;
        state().most_asked = 0;
        simulation.connect(hello());
        sleep_until(due - Duration::from_millis(50)).await;
        let most_asked = state().most_asked;
        sleep_until(due + Duration::from_secs(5)).await;
        state().odds = Odds::default();
        sleep(Duration::from_secs(30)).await;
        simulation.end_processes();
        let fired = |id: &WorkflowId| state().mentions(id, "TimerFired");
        Queued {
            most_asked,
            asleep: ids.iter().filter(|id| !fired(id)).cloned().collect(),
        }
    })
}

fn unserved() -> Activity {
    Activity {
        queue: Some(NOBODY),
        millis: 0,
        fails: 0,
        attempts: 0,
        beats: false,
        value: 1,
    }
}

fn hello() -> WorkerHello {
    WorkerHello {
        identity: Identity::known("slow"),
        namespace: ns().name,
        task_queue: program::queue(Some(NOBODY)),
        workflow_slots: 0,
        activity_slots: 1,
        build_id: BuildId::known("simulated"),
    }
}
