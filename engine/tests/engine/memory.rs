//! What a process takes, with runs that are large: nextest gives each test a process of its own.

use std::fmt::Write as _;

use engine::{Config, Engine};
use history::{
    Command, Failure, Payload, Payloads, RetryPolicy, Status,
    decide::StartWorkflow,
    event::SdkMetadata,
    task::{ActivityTaskAnswer, FromWorker, ToWorker, WorkflowTaskAnswer},
    time::Millis,
};

use crate::support::*;

const MIB: usize = 1024 * 1024;
const RUNS: usize = 250;
/// What the runs may take; all of them have eight times as much.
const LIMIT: usize = 32 * MIB;
/// Beside it: what is read and written at the moment, in text, folded, and on its way, and what the allocator keeps of that.
const BESIDE: usize = 160 * MIB;

/// A mebibyte that no compression makes small.
fn mebibyte(n: usize) -> Payloads {
    let mut state = u64::try_from(n).unwrap() + 1;
    let mut text = String::with_capacity(MIB);
    while text.len() < MIB {
        // A linear congruential generator of Knuth's.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        write!(text, "{:016x}", state ^ (state >> 29)).unwrap();
    }
    Payloads::one(Payload::json(&text).unwrap())
}

/// A start of a run with an input of a mebibyte.
fn large(n: usize) -> StartWorkflow {
    StartWorkflow {
        input: mebibyte(n),
        ..start("seq", &format!("large-{n}"))
    }
}

/// Returns a line of what the kernel says of this process, in bytes.
fn of_this_process(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|found| found.strip_prefix(line))
        .unwrap();
    let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

async fn opened(url: &str) -> Engine {
    let config = Config {
        memory_bytes: LIMIT,
        ..Config::new(url, "http://127.0.0.1:1")
    };
    owner_with(config).await
}

/// A worker that ends each run at its first task, and keeps nothing.
fn end_all(engine: &Engine) -> tokio::task::JoinHandle<()> {
    let (answers, mut tasks) = connect_worker(engine, hello("forgetful", 4, 0));
    tokio::spawn(async move {
        while let Some(task) = tasks.recv().await {
            if let ToWorker::WorkflowTask(task) = task {
                answers.send(FromWorker::WorkflowTask {
                    token: task.token,
                    answer: WorkflowTaskAnswer::Completed {
                        commands: vec![complete("done")],
                        sdk_metadata: SdkMetadata::default(),
                        sticky: false,
                        unread_signals: Vec::new(),
                    },
                });
            }
        }
    })
}

/// A worker whose attempts each say a mebibyte in a heartbeat, and fail. The next one is far away.
fn beat_and_fail(engine: &Engine) -> tokio::task::JoinHandle<()> {
    let (answers, mut tasks) = connect_worker(engine, hello("failing", 4, 4));
    tokio::spawn(async move {
        let mut beats = 0;
        while let Some(task) = tasks.recv().await {
            match task {
                ToWorker::WorkflowTask(task) => {
                    let mut activity = activity("a");
                    activity.retry_policy = Some(RetryPolicy {
                        initial_interval: Millis::seconds(600),
                        maximum_interval: Millis::seconds(600),
                        ..RetryPolicy::default()
                    });
                    answers.send(FromWorker::WorkflowTask {
                        token: task.token,
                        answer: WorkflowTaskAnswer::Completed {
                            commands: vec![Command::ScheduleActivityTask(Box::new(activity))],
                            sdk_metadata: SdkMetadata::default(),
                            sticky: false,
                            unread_signals: Vec::new(),
                        },
                    });
                }
                ToWorker::ActivityTask(task) => {
                    beats += 1;
                    answers.send(FromWorker::ActivityTask {
                        token: task.token.clone(),
                        answer: ActivityTaskAnswer::Heartbeat {
                            details: mebibyte(beats),
                        },
                    });
                    answers.send(FromWorker::ActivityTask {
                        token: task.token,
                        answer: ActivityTaskAnswer::Failed {
                            failure: Box::new(Failure::application("not yet", "Busy", false)),
                        },
                    });
                }
                ToWorker::Evict(_)
                | ToWorker::CancelActivity(_)
                | ToWorker::HeartbeatWanted(_)
                | ToWorker::ActivityRefused { .. } => {}
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_heartbeats_said_counts_when_runs_are_read() {
    let url = database().await;
    let engine = opened(&url).await;
    let working = beat_and_fail(&engine);
    for n in 0..RUNS {
        let start = start("seq", &format!("beats-{n}"));
        engine.start_workflow(&namespace(), start).await.unwrap();
    }
    let written = "SELECT count(*) FROM attempt WHERE octet_length(note) > 1048576";
    let all_written = async { while number(&url, written).await < i64::try_from(RUNS).unwrap() {} };
    tokio::time::timeout(PATIENCE * 3, all_written)
        .await
        .expect("all have failed");
    working.abort();
    engine.close().await;
    // As if none had been parked.
    execute(&url, "UPDATE open_run SET parked = false, due_at = NULL").await;
    let before = of_this_process("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let engine = opened(&url).await;
    let all = usize::from(engine::limits::SHARDS);
    tokio::time::timeout(PATIENCE * 3, engine.serving(all))
        .await
        .expect("it has folded what was open");
    let most = of_this_process("VmHWM:") - before;
    eprintln!(
        "{RUNS} heartbeats of a mebibyte: at most {} MiB",
        most / MIB
    );
    assert!(most < LIMIT + BESIDE, "{} MiB", most / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_runs_stay_within_the_limit_while_they_start_and_through_a_takeover() {
    let url = database().await;
    let engine = opened(&url).await;
    let before = of_this_process("VmRSS:");
    for n in 0..RUNS {
        engine.start_workflow(&namespace(), large(n)).await.unwrap();
    }
    let started = of_this_process("VmHWM:") - before;
    // The next owner gets them as they are: none is parked, the last ones have no row in `open_run`.
    engine.close().await;
    let engine = opened(&url).await;
    let all = usize::from(engine::limits::SHARDS);
    tokio::time::timeout(PATIENCE * 3, engine.serving(all))
        .await
        .expect("it has folded what was open");
    let taken_over = of_this_process("VmHWM:") - before;
    let working = end_all(&engine);
    for n in 0..RUNS {
        let closed = end(&engine, &format!("large-{n}")).await;
        assert_eq!(closed.status, Status::Completed);
    }
    let worked = of_this_process("VmHWM:") - before;
    working.abort();
    eprintln!(
        "{RUNS} runs of a mebibyte, a limit of {} MiB: at most {} MiB while they started, {} after the takeover, {} when all were done",
        LIMIT / MIB,
        started / MIB,
        taken_over / MIB,
        worked / MIB
    );
    for (when, most) in [
        ("start", started),
        ("takeover", taken_over),
        ("work", worked),
    ] {
        assert!(most < LIMIT + BESIDE, "{when}: {} MiB", most / MIB);
    }
}
