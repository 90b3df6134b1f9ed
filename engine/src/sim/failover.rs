//! A standby takes the place of the database, and perhaps lacks what was acknowledged: everybody who was told so says so, and goes on
//! with what is there.

use std::{collections::BTreeSet, time::Duration};

use history::WorkflowId;
use tokio::time::{Instant, sleep};

use super::{
    client::start,
    planted::{self, Bug},
    program::Step,
    run::{PATIENCE, SHARED, Simulation, runtime},
    scenario::waiting,
    scenario::{Fault, FaultKind, PROCESSES, Scenario},
    world::{self, chance},
};

/// How long a process may take to see what it has lost: it is fenced, or its lease ends, and it joins again.
const SEEN: Duration = Duration::from_secs(20);

/// Runs a failover, and returns what was wrong with it. A standby that `lags` lacks what was committed last.
pub(super) fn fail_over(seed: u64, lags: bool, bug: Option<Bug>) -> Option<String> {
    planted::plant(bug);
    runtime().block_on(async {
        world::begin(seed);
        let scenario = Scenario::quiet();
        let simulation = Simulation::new(&scenario);
        let violation = simulation.survive(lags).await;
        simulation.end_processes();
        violation.or_else(|| {
            simulation
                .outside
                .memory
                .state()
                .checks
                .violation()
                .cloned()
        })
    })
}

impl Simulation<'_> {
    async fn survive(&self, lags: bool) -> Option<String> {
        sleep(SHARED).await;
        self.starts("before", 0..6).await;
        let memory = &self.outside.memory;
        let standby = memory.state().clone();
        let frozen = Fault {
            at: 0,
            process: chance(|rng| rng.usize(0..PROCESSES)),
            kind: FaultKind::Frozen {
                for_millis: chance(|rng| rng.u64(1..5000)),
            },
        };
        let lost = chance(|rng| rng.usize(1..12));
        self.starts("lost", 0..lost).await;
        let failing_over = async {
            sleep(Duration::from_millis(chance(|rng| rng.u64(1..400)))).await;
            let standby = if lags {
                standby
            } else {
                memory.state().clone()
            };
            memory.fail_over(standby)
        };
        // Now and then one of them is frozen meanwhile, and is replaced by those that come first.
        let losers: BTreeSet<usize> = if chance(fastrand::Rng::bool) {
            let frozen = self.suffer(Instant::now(), &frozen);
            tokio::join!(failing_over, frozen).0
        } else {
            failing_over.await
        };
        sleep(SEEN).await;
        let alarmed = memory.state().alarmed.clone();
        if let Some(silent) = losers.difference(&alarmed).next() {
            return Some(format!(
                "process {silent} was told of a batch that a failover lost, and nobody heard of it"
            ));
        }
        if !lags && let Some(process) = alarmed.first() {
            return Some(format!(
                "process {process} raised an alarm, and nothing was lost"
            ));
        }
        let going_on = self.starts("after", 0..6);
        if tokio::time::timeout(PATIENCE, going_on).await.is_err() {
            return Some("nothing starts any more after a failover".to_owned());
        }
        None
    }

    /// Starts workflows that wait.
    async fn starts(&self, name: &str, numbers: std::ops::Range<usize>) {
        for n in numbers {
            let workflow_id = WorkflowId::known(format!("{name} {n}"));
            let started = self.start(start(&workflow_id, "start", &waiting(Step::Signal)));
            started.await.unwrap();
        }
    }
}
