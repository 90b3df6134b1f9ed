//! A workflow with whose rows no batch succeeds: the others go on, and its client is told.

use std::time::Duration;

use futures::future::join_all;
use history::WorkflowId;
use tokio::time::{Instant, timeout};

use super::{
    client::start,
    program::Step,
    run::{PATIENCE, SHARED, Simulation, runtime},
    scenario::Scenario,
    scenario::waiting,
    store::Curse,
    world,
};
use crate::Error;

/// How many workflows start beside it.
const OTHERS: usize = 40;

/// Runs a cursed workflow among others, and returns how long it took until the last of these had started.
pub(super) fn isolated(curse: Curse) -> Duration {
    super::planted::plant(None);
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario::quiet();
        let simulation = Simulation::new(&scenario);
        tokio::time::sleep(SHARED).await;
        let memory = &simulation.outside.memory;
        let epoch = memory.state().epoch;
        let cursed = WorkflowId::known("cursed");
        memory.state().cursed = Some((cursed.clone(), curse));
        let request = |id: &WorkflowId| start(id, "start", &waiting(Step::Signal));
        let others = async {
            let begun = Instant::now();
            let ids = (0..OTHERS).map(|n| WorkflowId::known(format!("other {n}")));
            let started = join_all(ids.map(|id| simulation.start(request(&id)))).await;
            assert!(started.iter().all(Result::is_ok), "{curse:?}: {started:?}");
            begun.elapsed()
        };
        let both = async { tokio::join!(simulation.start(request(&cursed)), others) };
        let (refused, took) = timeout(PATIENCE, both).await.expect("both are told");
        assert!(
            matches!(refused, Err(Error::DataRefused(_))),
            "{curse:?}: {refused:?}"
        );
        assert_eq!(memory.state().epoch, epoch, "{curse:?}: a member gave up");
        // As soon as the database is well again, so is the workflow.
        memory.state().cursed = None;
        let again = timeout(PATIENCE, simulation.start(request(&cursed)));
        assert!(again.await.expect("it is told").is_ok(), "{curse:?}");
        simulation.end_processes();
        took
    })
}
