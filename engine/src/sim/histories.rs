//! Large runs that no worker has cached, all of which get a signal at once.

use futures::future::join_all;
use history::{Payload, WorkflowId};
use tokio::time::timeout;

use super::{
    planted,
    program::{Step, start_input},
    run::{PATIENCE, SHARED, Simulation, runtime, start, waiting},
    scenario::Scenario,
    world,
};

/// How many runs there are, of a mebibyte each.
const RUNS: usize = 40;
const MEBIBYTE: usize = 1024 * 1024;

/// Returns the most stored bytes of whole histories that were read at once.
pub(super) fn most_histories_at_once(slots: u32) -> usize {
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
        let heard = ids.iter().map(|id| simulation.signal(id, &workflow, 0, 1));
        assert!(join_all(heard).await.into_iter().all(|heard| heard));
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        simulation.end_processes();
        simulation.outside.memory.state().most_history_bytes
    })
}
