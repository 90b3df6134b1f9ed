//! Large runs that no worker has cached, all of which get a signal at once.

use std::time::Duration;

use futures::future::join_all;
use history::{Payload, WorkflowId};
use tokio::time::timeout;

use super::{
    client::start,
    odds::Instead,
    planted,
    program::{Step, start_input},
    run::{PATIENCE, SHARED, Simulation, runtime},
    scenario::waiting,
    scenario::{Scenario, Workflow},
    world,
};

/// How many runs there are, of a mebibyte each.
pub(super) const RUNS: usize = 40;
const MEBIBYTE: usize = 1024 * 1024;

/// What was seen while they were read.
pub(super) struct Large {
    /// The most stored bytes of whole histories that were read at once.
    pub(super) most_bytes: usize,
    /// The most runs that waited for a slot with their whole histories.
    pub(super) most_waiting: usize,
}

/// Lets all of them hear something, at a worker with so many slots.
pub(super) fn large_runs_for(slots: u32) -> Large {
    simulated(slots, async |simulation, ids, workflow| {
        let heard = ids.iter().map(|id| simulation.signal(id, workflow, 0, 1));
        assert!(join_all(heard).await.into_iter().all(|heard| heard));
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        Large {
            most_bytes: simulation.outside.memory.state().most_history_bytes,
            most_waiting: world::most_whole(),
        }
    })
}

/// Has all of them terminated while their histories are read, and returns what engines say of it that should not be.
pub(super) fn closed_while_they_are_read() -> Option<String> {
    simulated(100, async |simulation, ids, workflow| {
        let slow = |slow| simulation.outside.memory.state().odds.slow = slow;
        for id in ids {
            // The history is read once the signal is durable, and the end is so before it has been read.
            slow(1000);
            assert!(simulation.signal(id, workflow, 0, 1).await);
            slow(0);
            simulation.terminate(id).await;
        }
        tokio::time::sleep(SHARED).await;
        world::seen_inside()
    })
}

/// Returns how often whole histories are asked for in a minute in which none can be read.
pub(super) fn tries_in_a_minute(instead: Instead) -> u64 {
    simulated(100, async |simulation, ids, workflow| {
        let state = || simulation.outside.memory.state();
        state().instead_of_histories = Some(instead);
        let heard = ids.iter().map(|id| simulation.signal(id, workflow, 0, 1));
        assert!(join_all(heard).await.into_iter().all(|heard| heard));
        let before = state().histories_asked;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let asked = state().histories_asked - before;
        state().instead_of_histories = None;
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        asked
    })
}

fn simulated<T>(
    slots: u32,
    then: impl AsyncFnOnce(&Simulation<'_>, &[WorkflowId], &Workflow) -> T,
) -> T {
    planted::plant(None);
    runtime().block_on(async {
        world::begin(0);
        // Its worker leaves after a few tasks and comes again, so that it knows few of the runs.
        let scenario = Scenario {
            slots,
            leaves_after: 3,
            ..Scenario::quiet()
        };
        let simulation = Simulation::of(&scenario, 1);
        tokio::time::sleep(SHARED).await;
        let workflow = waiting(Step::Signal);
        let ids = (0..RUNS).map(|n| WorkflowId::known(format!("large {n}")));
        let ids: Vec<_> = ids.collect();
        for id in &ids {
            let mut request = start(id, "start", &workflow);
            request.input = start_input(&workflow.program);
            let large = Payload::json(&"x".repeat(MEBIBYTE)).unwrap();
            request.input.0.push(large);
            simulation.start(request).await.unwrap();
        }
        tokio::time::sleep(SHARED / 4).await;
        let seen = then(&simulation, &ids, &workflow).await;
        simulation.end_processes();
        seen
    })
}
