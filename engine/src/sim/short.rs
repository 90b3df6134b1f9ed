//! A member that takes shards over while its memory is short and many deadlines come.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use history::{RunId, WorkflowId};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    client::start,
    planted,
    program::{Activity, Step},
    run::{SHARED, Simulation, runtime},
    scenario::waiting,
    scenario::{Fault, FaultKind, Scenario},
    world,
};

/// How many runs sleep until the same moment.
const SLEEPERS: usize = 4000;
/// How many wait for a worker that never comes.
const HOT: usize = 100;
/// How many have an activity under way all the time, and so can't leave memory.
const BUSY: usize = 10;
/// A process whose queue no worker serves.
const NOBODY: usize = 7;

/// The runs that the heir read, in this order: whether its dead owner had each in memory, or it was due.
pub(super) fn reads_of_an_heir() -> Vec<bool> {
    planted::plant(None);
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario {
            slots: 1000,
            park_after_millis: 1000,
            memory_bytes: 0,
            ..Scenario::quiet()
        };
        let simulation = Simulation::of(&scenario, 2);
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let at = Instant::now() + Duration::from_mins(2);
        let mut hot = HashSet::new();
        for n in 0..HOT {
            let run_id = begin(&simulation, format!("hot {n}"), activity(Some(NOBODY), 0)).await;
            hot.insert(run_id);
        }
        for n in 0..BUSY {
            begin(&simulation, format!("busy {n}"), activity(None, 600_000)).await;
        }
        for some in (0..SLEEPERS).collect::<Vec<_>>().chunks(1000) {
            let left = at.saturating_duration_since(Instant::now()).as_millis();
            let millis = u64::try_from(left).unwrap();
            let sleepers = some.iter().map(|n| {
                let id = format!("sleeper {n}");
                begin(&simulation, id, Step::Timer { millis })
            });
            join_all(sleepers).await;
        }
        sleep_until(at).await;
        state().runs_read.clear();
        let killed = Fault {
            at: 0,
            process: 0,
            kind: FaultKind::Killed {
                back_after: 600_000,
            },
        };
        let suffers = simulation.suffer(Instant::now(), &killed);
        // It does not come back.
        let _ = timeout(Duration::from_mins(5), suffers).await;
        simulation.end_processes();
        let read = std::mem::take(&mut state().runs_read);
        read.iter().map(|run_id| hot.contains(run_id)).collect()
    })
}

async fn begin(simulation: &Simulation<'_>, id: String, step: Step) -> RunId {
    let request = start(&WorkflowId::known(id), "start", &waiting(step));
    simulation.start(request).await.unwrap().run_id
}

fn activity(queue: Option<usize>, millis: u64) -> Step {
    Step::Activity(Activity {
        queue,
        millis,
        fails: 0,
        attempts: 0,
        beats: false,
        value: 1,
    })
}
