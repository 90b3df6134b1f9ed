//! What a simulation looks at beside its scenarios: how much is asked of the database, and how long something takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use history::{RunId, Timestamp, WorkflowId};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    client::start,
    host::Host,
    odds::Odds,
    program::Step,
    run::{PATIENCE, SHARED, Simulation, config, runtime},
    scenario::{Scenario, waiting},
    store::LEASE,
    worker::Outside,
    world::{self},
};
use crate::{Config, Role, tenure::RENEWALS_A_PARTITION_LOOK};

/// Returns how many statements so many engines send that have nothing to do, in so much time.
pub(super) fn statements_while_idle(engines: usize, time: Duration) -> u64 {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let hosts: Vec<Host> = (0..engines)
            .map(|n| Host::boot(&outside, Config::new("", ""), n))
            .collect();
        let sent = || outside.memory.state().statements;
        sleep(SHARED).await;
        let before = sent();
        sleep(time).await;
        for host in hosts {
            host.task.abort();
        }
        sent() - before
    })
}

/// What is seen of a hand-over while somebody keeps a lock that it needs.
pub(super) struct HandOver {
    /// The latest epoch: each process that gives up, and joins anew, adds one.
    pub(super) epoch: i64,
    /// How many shards each process serves.
    pub(super) served: Vec<usize>,
}

/// Lets a second process join while somebody keeps the row for so long that hand-overs need.
pub(super) fn hand_over_beside(lease: Duration, time: Duration) -> HandOver {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let config = || Config {
            lease,
            ..Config::new("", "")
        };
        let first = Host::boot(&outside, config(), 0);
        sleep(SHARED).await;
        let second = Host::boot(&outside, config(), 1);
        let memory = &outside.memory;
        memory.until(|state| (state.epoch == 2).then_some(())).await;
        memory.keep_cluster(time).await.unwrap();
        sleep(SHARED).await;
        let hosts = [first, second];
        let served = hosts.iter().map(|host| match host.state.borrow().role() {
            Role::Member { shards, .. } => shards,
            Role::Outside => 0,
        });
        let hand_over = HandOver {
            epoch: memory.state().epoch,
            served: served.collect(),
        };
        for host in hosts {
            host.task.abort();
        }
        hand_over
    })
}

/// Returns how often old batch numbers are deleted in that time by a process whose last look at the partitions has no end.
pub(super) fn house_kept_beside_a_look_without_end(time: Duration) -> u64 {
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1, false), 0);
        let host = Host::boot(&outside, config(&Scenario::quiet()), 0);
        sleep(SHARED).await;
        outside.memory.state().partitions_kept = true;
        // At the shortest of leases, the next look.
        sleep(LEASE * u32::try_from(RENEWALS_A_PARTITION_LOOK).unwrap()).await;
        let before = outside.memory.state().feed.looks;
        sleep(time).await;
        host.task.abort();
        let kept = outside.memory.state().feed.looks;
        kept - before
    })
}

/// Returns how many requests a closed run sends in that time to a parent that none of them reaches, and how long it takes to
/// be heard once they do.
pub(super) fn requests_to_nowhere(time: Duration) -> (u64, Duration) {
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario::quiet();
        let simulation = Simulation::new(&scenario);
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let child = WorkflowId::known("child");
        simulation.start_unheard(&child, Step::Signal).await;
        let before = state().posted;
        simulation.terminate(&child).await;
        sleep(time).await;
        let posted = state().posted - before;
        state().odds.lost_requests = 0;
        let begun = Instant::now();
        // In virtual time a wait without an end would never let the test end.
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        (posted, begun.elapsed())
    })
}

/// Returns how long a member takes to stop while workers of another one have its tasks.
pub(super) fn stopping_takes() -> Duration {
    runtime().block_on(async {
        world::begin(0);
        let scenario = Scenario {
            slots: 4,
            apart: true,
            ..Scenario::quiet()
        };
        let simulation = Simulation::new(&scenario);
        sleep(SHARED).await;
        for n in 0..100 {
            let mut ticks = waiting(Step::Timer { millis: 1 });
            ticks.program.steps = vec![Step::Timer { millis: 1 }; 20];
            ticks.program.queue = Some(0);
            let id = WorkflowId::known(format!("ticks {n}"));
            simulation.start(start(&id, "start", &ticks)).await.unwrap();
        }
        let begun = Instant::now();
        let stopped = &simulation.hosts[1];
        stopped.lock().unwrap().stop.send_replace(true);
        while !stopped.lock().unwrap().task.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        let took = begun.elapsed();
        timeout(PATIENCE, simulation.settled()).await.unwrap();
        simulation.end_processes();
        took
    })
}

/// What was read of the database for many timers that are due within a second.
pub(super) struct Storm {
    /// When each run was due.
    pub(super) due: BTreeMap<RunId, Timestamp>,
    /// Each deadline that was read ahead.
    pub(super) deadlines_read: Vec<RunId>,
    /// The runs, in the order in which they were read.
    pub(super) runs_read: Vec<RunId>,
    /// How many are open still.
    pub(super) open: usize,
}

/// Lets so many runs sleep until the same second, parked, and lets it come.
pub(super) fn storm(engines: usize, runs: usize, ahead: Duration) -> Storm {
    let config = Config {
        park_after: Duration::from_secs(1),
        ..Config::new("", "")
    };
    let scenario = Scenario::quiet();
    runtime().block_on(async {
        world::begin(0);
        let outside = Outside::new(Odds::default(), (1000, false), 0);
        let hosts = (0..engines).map(|n| Host::boot(&outside, config.clone(), n));
        let simulation = Simulation {
            scenario: &scenario,
            hosts: hosts.map(|host| Arc::new(Mutex::new(host))).collect(),
            vanished: Mutex::default(),
            outside,
        };
        let state = || simulation.outside.memory.state();
        sleep(SHARED).await;
        let at = Instant::now() + ahead;
        for some in (0..runs).collect::<Vec<_>>().chunks(1000) {
            join_all(some.iter().map(|n| {
                let left = at.saturating_duration_since(Instant::now()).as_millis();
                let spread = *n as u64 * 7919 % 1000;
                let sleeps = waiting(Step::Timer {
                    millis: u64::try_from(left).unwrap() + spread,
                });
                simulation.start(start(
                    &WorkflowId::known(format!("sleeper {n}")),
                    "start",
                    &sleeps,
                ))
            }))
            .await;
        }
        sleep_until(at - ahead / 5).await;
        let due = state().due();
        state().runs_read.clear();
        sleep_until(at + Duration::from_mins(5)).await;
        for host in &simulation.hosts {
            host.lock().unwrap().task.abort();
        }
        let mut state = state();
        Storm {
            due,
            deadlines_read: std::mem::take(&mut state.deadlines_read),
            runs_read: std::mem::take(&mut state.runs_read),
            open: state.open().count(),
        }
    })
}
