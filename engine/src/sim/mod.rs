//! A deterministic simulation: real owners, committers and takeovers on a database in memory, a virtual clock and a seeded
//! chance; processes that die, freeze, stop and come back, commits that fail and answers that get lost, workers that leave.
//!
//! After each commit [`checks`] looks at what was written, with other eyes than the engine's; clients hold what they are told
//! against what is stored; each workflow's result is compared with an oracle. `./test sim --seeds N --from S` runs more.
//! A seed that fails is printed, run again to see that it fails the same way, and made smaller.

#![expect(
    clippy::default_trait_access,
    reason = "what a request leaves to its default is of no matter here"
)]

mod backlog;
mod checks;
mod client;
mod curse;
mod failover;
mod histories;
mod host;
mod namespace;
mod network;
mod odds;
pub(crate) mod planted;
mod program;
mod reader;
mod run;
mod scenario;
mod short;
mod store;
mod stories;
mod worker;
pub(crate) mod world;

use std::time::{Duration, Instant};

use backlog::queued;
use curse::isolated;
use failover::fail_over;
use histories::{RUNS, closed_while_they_are_read, large_runs_for, tries_in_a_minute};
use odds::Instead;
use planted::Bug;
use run::{Outcome, simulate};
use scenario::Scenario;
use short::reads_of_an_heir;
use store::Curse;
use stories::{
    hand_over_beside, house_kept_beside_a_look_without_end, requests_to_nowhere,
    statements_while_idle, stopping_takes, storm,
};

use history::RunId;

use crate::limits::{
    LEASE, LOCK_WAIT_MAX, PARKED_KNOWN_MAX, PARKED_PAGE, READ_AGAIN_AFTER, READ_BYTES,
    REDELIVER_AFTER_MAX,
};

/// Returns a number from the environment.
fn told(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// Makes a failing scenario as small as it gets while it fails at all.
fn shrink(mut failing: Scenario) -> (Scenario, Outcome) {
    let mut outcome = simulate(&failing);
    'smaller: loop {
        for less in failing.smaller() {
            let tried = simulate(&less);
            if tried.violation.is_some() {
                (failing, outcome) = (less, tried);
                continue 'smaller;
            }
        }
        return (failing, outcome);
    }
}

/// Runs seeds, and panics with the smallest scenario of the first that fails.
fn seeds(from: u64, count: u64) {
    let begun = Instant::now();
    let (mut commits, mut events, mut given, mut sent) = (0, 0, 0, 0);
    for seed in from..from + count {
        let scenario = Scenario::drawn(seed, None);
        let outcome = simulate(&scenario);
        commits += outcome.commits;
        events += outcome.events;
        given += outcome.given;
        sent += outcome.sent;
        if let Some(violation) = &outcome.violation {
            assert_eq!(simulate(&scenario), outcome, "seed {seed} fails once");
            let (smallest, last) = shrink(scenario);
            panic!(
                "seed {seed} fails: {violation}\n\nmade smaller it fails with: {}\n{smallest:?}",
                last.violation.unwrap_or_default()
            );
        }
    }
    eprintln!(
        "seeds {from}..{}: {commits} commits, {events} events, {given} shards given, {sent} requests sent, {:?}",
        from + count,
        begun.elapsed()
    );
}

/// The share of the seeds that one test has: the tests run beside each other.
fn share(n: u64) {
    let (from, count) = (
        told("COREASON_SIM_FROM", 0),
        told("COREASON_SIM_SEEDS", 10_000),
    );
    let each = count.div_ceil(4);
    let begin = (n * each).min(count);
    seeds(from + begin, each.min(count - begin));
}

#[test]
fn no_seed_of_the_first_quarter_loses_or_doubles_anything() {
    share(0);
}

#[test]
fn no_seed_of_the_second_quarter_loses_or_doubles_anything() {
    share(1);
}

#[test]
fn no_seed_of_the_third_quarter_loses_or_doubles_anything() {
    share(2);
}

#[test]
fn no_seed_of_the_last_quarter_loses_or_doubles_anything() {
    share(3);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let scenario = Scenario::drawn(seed, None);
        assert_eq!(simulate(&scenario), simulate(&scenario), "seed {seed}");
    }
}

#[test]
fn an_idle_engine_sends_less_than_a_statement_a_second() {
    let minutes = 10;
    for engines in [1, 3] {
        let sent = statements_while_idle(engines, Duration::from_mins(minutes));
        eprintln!("{sent} statements of {engines} in {minutes} minutes");
        assert!(
            sent < minutes * 60 * engines as u64,
            "{sent} statements of {engines} in {minutes} minutes"
        );
    }
}

#[test]
fn a_member_that_stops_hears_what_workers_of_others_answer() {
    let took = stopping_takes();
    eprintln!("stopped after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_run_that_is_not_heard_sends_ever_more_rarely_and_does_not_give_up() {
    let minutes = 10;
    let (requests, heard) = requests_to_nowhere(Duration::from_mins(minutes));
    eprintln!("{requests} requests in {minutes} minutes, heard after {heard:?}");
    let at_most_every = minutes * 60 / REDELIVER_AFTER_MAX.as_secs();
    assert!((at_most_every / 2..at_most_every + 30).contains(&requests));
    assert!(heard < REDELIVER_AFTER_MAX + Duration::from_secs(1));
}

#[test]
fn a_lock_that_somebody_keeps_beyond_its_time_ends_no_membership() {
    for lease in [LEASE, Duration::from_secs(1)] {
        let hand_over = hand_over_beside(lease, LOCK_WAIT_MAX + Duration::from_secs(4));
        assert_eq!(hand_over.epoch, 2, "both are what they were, at {lease:?}");
        let served = hand_over.served;
        assert!(served.iter().all(|shards| *shards > 300), "{served:?}");
        assert_eq!(served.iter().sum::<usize>(), 1024, "{served:?}");
    }
}

#[test]
fn a_look_at_the_partitions_that_has_no_end_keeps_nothing_else_from_being_done() {
    let kept = house_kept_beside_a_look_without_end(Duration::from_mins(1));
    assert!(kept > 10, "{kept}");
}

#[test]
fn timers_due_in_one_second_are_read_once_each_by_their_owner_and_in_order() {
    for (engines, runs) in [(1, PARKED_PAGE + 4000), (3, 6000)] {
        let storm = storm(engines, runs, Duration::from_mins(10));
        assert_eq!(storm.due.len(), runs, "all are parked");
        assert_eq!(storm.open, 0, "all have fired");
        let once = |mut read: Vec<RunId>| {
            read.sort_unstable();
            read == storm.due.keys().copied().collect::<Vec<_>>()
        };
        assert!(
            once(storm.deadlines_read.clone()),
            "each deadline is read once"
        );
        assert!(once(storm.runs_read.clone()), "each run is read once");
        if engines == 1 {
            let due = storm.runs_read.iter().map(|run_id| storm.due[run_id]);
            assert!(due.is_sorted(), "in the order of time");
        }
    }
}

#[test]
fn timers_of_runs_that_leave_memory_shortly_before_are_all_read() {
    let runs = PARKED_KNOWN_MAX + 4000;
    let storm = storm(1, runs, Duration::from_secs(50));
    assert_eq!(storm.due.len(), runs, "all are parked");
    assert!(!storm.deadlines_read.is_empty(), "some were forgotten");
    assert_eq!(storm.open, 0, "all have fired");
    let due = storm.runs_read.iter().map(|run_id| storm.due[run_id]);
    assert!(due.is_sorted(), "in the order of time");
}

#[test]
fn a_worker_with_one_slot_has_two_runs_read_and_the_timers_of_all_fire() {
    for seed in 0..20 {
        let queued = queued(seed, None);
        assert!((1..=2).contains(&queued.most_asked), "seed {seed}");
        assert_eq!(queued.asleep, [], "seed {seed}");
    }
}

#[test]
fn whole_histories_are_read_as_many_at_once_as_there_is_room_for() {
    let bytes = u64::try_from(large_runs_for(100).most_bytes).unwrap();
    assert!((READ_BYTES / 2..=READ_BYTES).contains(&bytes), "{bytes}");
}

#[test]
fn whole_histories_are_read_for_as_many_runs_as_there_are_slots() {
    let large = large_runs_for(1);
    // Two, and one whose worker has evicted it.
    assert!(large.most_bytes < 4 * 1024 * 1024, "{}", large.most_bytes);
    // One has the slot, and one is the next.
    assert!(large.most_waiting <= 2, "{}", large.most_waiting);
}

#[test]
fn a_history_that_can_t_be_read_is_asked_for_again_after_a_pause() {
    let most = RUNS as u64 * (60 / READ_AGAIN_AFTER.as_secs() + 1);
    for instead in [Instead::Failure, Instead::Part] {
        let tries = tries_in_a_minute(instead);
        assert!((1..=most).contains(&tries), "{instead:?}: {tries}");
    }
}

#[test]
fn a_run_that_closes_while_its_history_is_read_leaves_memory() {
    assert_eq!(closed_while_they_are_read(), None);
}

#[test]
fn while_memory_is_short_a_takeover_and_deadlines_are_read_in_turn() {
    let read = reads_of_an_heir();
    let first_due = read.iter().position(|hot| !hot).expect("some are due");
    let last_hot = read.iter().rposition(|hot| *hot).expect("some were hot");
    assert!(first_due < read.len() / 2, "{first_due} of {}", read.len());
    assert!(last_hot < read.len() / 2, "{last_hot} of {}", read.len());
}

#[test]
fn a_timer_that_a_short_read_loses_is_found() {
    let lost = |seed| !queued(seed, Some(Bug::LostDeadline)).asleep.is_empty();
    assert!((0..20).any(lost));
}

/// Plants a bug and returns the first seed from this one on that finds it by a violation that says so, and that.
fn found(bug: Bug, from: u64, tells: &str) -> (u64, String) {
    (from..from + told("COREASON_SIM_PLANTED", 2000))
        .find_map(|seed| {
            let violation = simulate(&Scenario::likely(seed, bug)).violation?;
            violation.contains(tells).then_some((seed, violation))
        })
        .unwrap_or_else(|| panic!("{bug:?} is not found"))
}

#[test]
fn planted_bugs_are_found() {
    for (bug, from, tells) in [
        (Bug::FenceLeftOut, 0, "follows"),
        (Bug::EarlyReply, 0, "before its scheduling was durable"),
        (
            Bug::LostBufferedSignal,
            0,
            "an acknowledged signal is not stored",
        ),
        (Bug::DoubledCompletion, 0, "follows"),
        (Bug::TimerEarly, 0, "fired early"),
        (Bug::ForgottenBacklog, 0, "is still open"),
        (Bug::HastyHandOver, 0, "writes to a shard of another"),
        (Bug::StaleAnswer, 0, "a start was refused for"),
        (Bug::LateChild, 0, "is still open"),
        (Bug::UnheardDemand, 0, "is still open"),
        (Bug::DoubledBatch, 0, "may run 1 times and ran 2"),
        (Bug::OldRead, 0, "follows"),
        (Bug::LostAttemptCount, 0, "are counted anew"),
        (Bug::LostHeartbeat, 0, "in a heartbeat is not kept"),
        (Bug::OvertakenStart, 0, "is still open"),
        (Bug::SharedHandOut, 0, "twice by one token"),
        (Bug::VanishedSignal, 0, "is still open"),
        (Bug::DoubledRequest, 0, "is answered with"),
        (Bug::HeldFate, 0, "by a session that does nothing"),
        (Bug::NoTimeouts, 0, "by a session that does nothing"),
        (Bug::ClusterFirst, 0, "a transaction locks Slot"),
        (Bug::SkippedLane, 0, "a reader of the feed"),
        (Bug::CursorTooFar, 0, "a reader of the feed"),
        (Bug::TrustedTail, 0, "a reader of the feed"),
        (Bug::DeafReader, 0, "a reader of the feed hears too late"),
    ] {
        let (seed, violation) = found(bug, from, tells);
        eprintln!("{bug:?}: seed {seed}: {violation}");
    }
}

#[test]
fn a_row_that_no_batch_gets_written_costs_nobody_else_anything() {
    for curse in [Curse::Cut, Curse::Fails, Curse::Hangs] {
        eprintln!("{curse:?}: alone after {:?}", isolated(curse));
    }
}

#[test]
fn a_failover_that_lost_commits_is_noticed_by_all_who_were_told_of_them() {
    for seed in 0..200 {
        assert_eq!(fail_over(seed, true, None), None, "seed {seed}");
    }
}

#[test]
fn a_failover_that_lost_nothing_is_no_alarm() {
    for seed in 0..100 {
        assert_eq!(fail_over(seed, false, None), None, "seed {seed}");
    }
}

#[test]
fn a_failover_that_passes_unnoticed_is_found() {
    let found = (0..200).find_map(|seed| fail_over(seed, true, Some(Bug::MissedFailover)));
    let violation = found.expect("it is found");
    assert!(violation.contains("nobody heard of it"), "{violation}");
}

#[test]
fn a_failing_seed_shrinks() {
    let (seed, _) = found(Bug::TimerEarly, 0, "fired early");
    let scenario = Scenario::likely(seed, Bug::TimerEarly);
    let (smallest, outcome) = shrink(scenario.clone());
    assert!(outcome.violation.is_some());
    assert!(smallest.workflows.len() <= scenario.workflows.len());
    assert_eq!(smallest.workflows.len(), 1, "{smallest:#?}");
    assert_eq!(simulate(&smallest), outcome, "it replays");
}
