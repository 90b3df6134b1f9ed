//! What is kept of attempts beside the log: how many there were, what a heartbeat said, and what a failing workflow task waits for.

use std::time::Duration;

use engine::{Config, Engine};
use history::{
    BuildId, Command, Event, EventKind, Failure, Payload, Payloads, RetryPolicy, TaskQueue,
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{
        ActivityTask, ActivityTaskAnswer, Answers, FromWorker, Tasks, ToWorker, WorkerHello,
        WorkflowTask, WorkflowTaskAnswer, WorkflowTaskToken,
    },
    time::Millis,
};
use tokio::sync::mpsc;

use crate::support::*;

/// A worker of queue `q` that a test answers for.
struct Hand {
    answers: Answers,
    tasks: mpsc::UnboundedReceiver<ToWorker>,
}

impl Hand {
    fn connect(engine: &Engine, build: &str) -> Self {
        let hello = WorkerHello {
            build_id: BuildId::known(build),
            ..hello(build, 10, 10)
        };
        let (answers, tasks) = connect_worker(engine, hello);
        Self { answers, tasks }
    }

    async fn next(&mut self) -> ToWorker {
        tokio::time::timeout(PATIENCE, self.tasks.recv())
            .await
            .expect("a task comes")
            .expect("the engine is there")
    }

    async fn workflow(&mut self) -> WorkflowTask {
        loop {
            match self.next().await {
                ToWorker::WorkflowTask(task) => return task,
                ToWorker::Evict(_)
                | ToWorker::CancelActivity(_)
                | ToWorker::HeartbeatWanted(_)
                | ToWorker::ActivityRefused { .. } => {}
                other @ ToWorker::ActivityTask(_) => unreachable!("{other:?}"),
            }
        }
    }

    async fn activity(&mut self) -> Box<ActivityTask> {
        loop {
            match self.next().await {
                ToWorker::ActivityTask(task) => return task,
                ToWorker::Evict(_)
                | ToWorker::CancelActivity(_)
                | ToWorker::HeartbeatWanted(_)
                | ToWorker::ActivityRefused { .. } => {}
                other @ ToWorker::WorkflowTask(_) => unreachable!("{other:?}"),
            }
        }
    }

    /// Returns why something was refused.
    async fn refusal(&mut self) -> String {
        loop {
            match self.next().await {
                ToWorker::ActivityRefused { problem, .. } => return problem,
                ToWorker::Evict(_) | ToWorker::CancelActivity(_) | ToWorker::HeartbeatWanted(_) => {
                }
                other @ (ToWorker::WorkflowTask(_) | ToWorker::ActivityTask(_)) => {
                    unreachable!("{other:?}")
                }
            }
        }
    }

    fn say(&self, answer: FromWorker) {
        assert!(self.answers.send(answer), "the engine is there");
    }

    /// Answers a workflow task by commands.
    fn turn(&self, token: WorkflowTaskToken, commands: Vec<Command>) {
        self.say(FromWorker::WorkflowTask {
            token,
            answer: WorkflowTaskAnswer::Completed {
                commands,
                sdk_metadata: SdkMetadata::default(),
                sticky: false,
                unread_signals: Vec::new(),
            },
        });
    }

    /// Fails a workflow task as code does that has a mistake.
    fn fail_turn(&self, token: WorkflowTaskToken) {
        self.say(FromWorker::WorkflowTask {
            token,
            answer: WorkflowTaskAnswer::Failed {
                cause: WorkflowTaskFailedCause::NonDeterministicError,
                failure: Box::new(Failure::application("it is another code", "Mistake", false)),
            },
        });
    }

    fn fail(&self, task: &ActivityTask) {
        self.say(FromWorker::ActivityTask {
            token: task.token.clone(),
            answer: ActivityTaskAnswer::Failed {
                failure: Box::new(Failure::application("not yet", "Busy", false)),
            },
        });
    }

    fn beat(&self, task: &ActivityTask, details: i64) {
        self.say(FromWorker::ActivityTask {
            token: task.token.clone(),
            answer: ActivityTaskAnswer::Heartbeat {
                details: Payloads::one(Payload::json(&details).unwrap()),
            },
        });
    }
}

/// Starts a workflow that asks for one activity, which may have so many attempts, the next one so long after the other. Returns its worker.
async fn one_activity(engine: &Engine, attempts: u32, interval: Millis) -> Hand {
    let mut hand = Hand::connect(engine, "one");
    engine
        .start_workflow(&namespace(), start("one", "w"))
        .await
        .unwrap();
    let task = hand.workflow().await;
    let mut activity = activity("a");
    activity.retry_policy = Some(RetryPolicy {
        initial_interval: interval,
        backoff_coefficient: 1.0,
        maximum_attempts: attempts,
        ..Default::default()
    });
    activity.start_to_close_timeout = Millis::seconds(600);
    let command = Command::ScheduleActivityTask(Box::new(activity));
    hand.turn(task.token, vec![command]);
    hand
}

/// Starts a workflow that asks for one activity, whose first attempt has said 17 in a heartbeat. Returns its worker and that attempt.
async fn beating_activity(engine: &Engine, interval: Millis) -> (Hand, Box<ActivityTask>) {
    let mut hand = one_activity(engine, 0, interval).await;
    let task = hand.activity().await;
    hand.beat(&task, 17);
    (hand, task)
}

/// Ends the ownership of an engine as a death does: nothing of what it has in memory is written any more. It comes back as another.
async fn die(engine: &Engine, url: &str) {
    execute(url, "UPDATE slot SET epoch = epoch + 1").await;
    let probe = || history::decide::StartWorkflow {
        task_queue: TaskQueue::known("nobody's"),
        ..start("none", "probe")
    };
    // What commits finds it out.
    engine
        .start_workflow(&namespace(), probe())
        .await
        .unwrap_err();
    let back = async {
        engine.owning().await;
        while engine
            .start_workflow(&namespace(), probe())
            .await
            .is_err_and(|error| error.code() != "WORKFLOW_ALREADY_STARTED")
        {
            engine.owning().await;
        }
    };
    tokio::time::timeout(PATIENCE, back)
        .await
        .expect("it comes back");
}

/// Says that it is written that the attempt has started.
const START_WRITTEN: &str = "EXISTS (SELECT FROM attempt WHERE note LIKE '%\"started\"%')";

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_that_ends_its_process_at_once_runs_once_more_than_it_may_at_most() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 2, Millis(10)).await;
    let mut attempts = Vec::new();
    for _ in 0..3 {
        attempts.push(hand.activity().await.token.attempt);
        die(&engine, &url).await;
        hand = Hand::connect(&engine, "one");
    }
    assert_eq!(attempts, [1, 1, 2]);
    // The workflow hears that it timed out.
    let task = hand.workflow().await;
    let timed_out =
        |event: &std::sync::Arc<Event>| matches!(&event.kind, EventKind::ActivityTaskTimedOut(_));
    assert!(task.events.iter().any(timed_out), "{:?}", task.events);
    assert_eq!(number(&url, "SELECT count(*) FROM attempt").await, 0);
    check_audit(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_runs_long_is_written_by_itself_and_counts() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 2, Millis(10)).await;
    assert_eq!(hand.activity().await.token.attempt, 1);
    until(&url, START_WRITTEN).await;
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM activity WHERE status = 'Started' AND attempts = 1"
        )
        .await,
        1
    );
    die(&engine, &url).await;
    hand = Hand::connect(&engine, "one");
    assert_eq!(hand.activity().await.token.attempt, 2);
    check_audit(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_attempts_that_end_well_write_nothing_beside_the_log() {
    let url = database().await;
    let engine = owner(&url).await;
    execute(
        &url,
        "CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'attempt is written'; END $$;
         CREATE TRIGGER count_writes BEFORE INSERT ON attempt EXECUTE FUNCTION count_writes()",
    )
    .await;
    work(&engine, sequence(20), echo());
    let (_, closed) = engine
        .execute_workflow(&namespace(), start("seq", "short"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(closed.closed().unwrap().status, history::Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_leave_nothing_in_the_history() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 0, Millis(1)).await;
    let described = async || engine.describe(&address("w")).await.unwrap();
    let before = described().await;
    for attempt in 1..=300 {
        let task = hand.activity().await;
        assert_eq!(task.token.attempt, attempt);
        hand.fail(&task);
    }
    let task = hand.activity().await;
    let after = described().await;
    assert_eq!(
        (after.history_bytes, after.history_length),
        (before.history_bytes, before.history_length)
    );
    let activity = &after.pending_activities[0];
    assert_eq!(activity.attempt, 301);
    let last = activity.last_failure.as_ref().unwrap();
    assert_eq!((last.attempt, &*last.failure.message), (300, "not yet"));
    assert_eq!(number(&url, "SELECT count(*) FROM attempt").await, 1);
    let rows = "SELECT count(*) FROM history";
    let rows_before = number(&url, rows).await;
    hand.say(FromWorker::ActivityTask {
        token: task.token,
        answer: ActivityTaskAnswer::Completed {
            result: Payloads::default(),
        },
    });
    let task = hand.workflow().await;
    hand.turn(task.token, vec![complete("done")]);
    assert_eq!(end(&engine, "w").await.status, history::Status::Completed);
    // Two, and two more where the machine is so busy that nothing waits for the commands of a workflow task.
    assert!(number(&url, rows).await <= rows_before + 4);
    assert_eq!(number(&url, "SELECT count(*) FROM attempt").await, 0);
    check_audit(&url).await;
}

fn said(task: &ActivityTask) -> (u32, i64) {
    let details: i64 = task.heartbeat_details.0[0].read().unwrap();
    (task.token.attempt, details)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_binary_wrote_of_attempts_is_named_as_such() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 0, Millis::seconds(600)).await;
    let task = hand.activity().await;
    hand.fail(&task);
    until(&url, "EXISTS (SELECT FROM attempt)").await;
    engine.close().await;
    execute(&url, "UPDATE attempt SET version = version + 1").await;
    let engine = owner(&url).await;
    let error = engine.describe(&address("w")).await.unwrap_err();
    assert_eq!(error.code(), "CORRUPT_ROW");
    let said = error.to_string();
    assert!(said.contains("table attempt"), "{said}");
    assert!(said.contains("run the newer binary"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hears_no_more_takes_one_attempt_with_it_and_not_those_beside_it() {
    let url = database().await;
    let engine = owner(&url).await;
    let (answers, tasks) = connect_worker(&engine, hello("one", 10, 0));
    let mut hand = Hand { answers, tasks };
    // It is there still, as far as the engine knows.
    let deaf = engine.connect_worker(hello("deaf", 0, 10), Tasks::new(|_| false));
    let request = start("one", "w");
    engine.start_workflow(&namespace(), request).await.unwrap();
    let task = hand.workflow().await;
    let scheduled = |id, attempts| {
        let mut activity = activity(id);
        activity.retry_policy = Some(RetryPolicy {
            initial_interval: Millis(10),
            maximum_attempts: attempts,
            ..Default::default()
        });
        Command::ScheduleActivityTask(Box::new(activity))
    };
    hand.turn(task.token, vec![scheduled("a", 2), scheduled("b", 1)]);
    let lost = "EXISTS (SELECT FROM activity WHERE activity_id = 'a' AND last_failure IS NOT NULL)";
    until(&url, lost).await;
    let mut other = Hand::connect(&engine, "two");
    let mut came = Vec::new();
    for _ in 0..2 {
        let task = other.activity().await;
        came.push((task.activity_id.to_string(), task.token.attempt));
    }
    came.sort();
    assert_eq!(came, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heartbeat_said_outlives_a_failure_and_a_parked_run() {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.park_after = Duration::ZERO;
    let engine = owner_with(config).await;
    let (mut hand, task) = beating_activity(&engine, Millis(2500)).await;
    hand.fail(&task);
    until(&url, "EXISTS (SELECT FROM open_run WHERE parked)").await;
    assert_eq!(said(&*hand.activity().await), (2, 17));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heartbeat_said_outlives_a_deploy() {
    let url = database().await;
    let engine = owner(&url).await;
    let (_hand, _task) = beating_activity(&engine, Millis(10)).await;
    engine.close().await;
    let engine = owner(&url).await;
    let mut hand = Hand::connect(&engine, "two");
    assert_eq!(said(&*hand.activity().await), (2, 17));
    check_audit(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_a_worker_holds_back_is_asked_for_before_its_run_leaves() {
    let url = database().await;
    let engine = owner(&url).await;
    let (mut hand, task) = beating_activity(&engine, Millis(10)).await;
    let asked = async {
        loop {
            if let ToWorker::HeartbeatWanted(token) = hand.next().await {
                assert_eq!(token, task.token);
                return hand.beat(&task, 18);
            }
        }
    };
    tokio::join!(engine.close(), asked);
    let engine = owner(&url).await;
    let mut hand = Hand::connect(&engine, "two");
    assert_eq!(said(&*hand.activity().await), (2, 18));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heartbeat_said_outlives_a_crash_some_seconds_later() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 0, Millis(10)).await;
    let task = hand.activity().await;
    // What is written with the start is older than these.
    until(&url, START_WRITTEN).await;
    hand.beat(&task, 16);
    hand.beat(&task, 17);
    until(
        &url,
        "EXISTS (SELECT FROM activity WHERE heartbeat_details = '[17]')",
    )
    .await;
    die(&engine, &url).await;
    let mut hand = Hand::connect(&engine, "one");
    assert_eq!(said(&*hand.activity().await), (2, 17));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_task_that_fails_for_ever_writes_no_history_and_wakes_when_other_code_comes() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = Hand::connect(&engine, "old");
    engine
        .start_workflow(&namespace(), start("one", "w"))
        .await
        .unwrap();
    let task = hand.workflow().await;
    hand.fail_turn(task.token);
    let task = hand.workflow().await;
    let described = async || engine.describe(&address("w")).await.unwrap();
    let bytes = described().await.history_bytes;
    hand.fail_turn(task.token);
    let task = hand.workflow().await;
    hand.fail_turn(task.token);
    let task = hand.workflow().await;
    assert_eq!(task.token.attempt, 4);
    hand.fail_turn(task.token);
    // The next one would come in eight seconds.
    until(
        &url,
        "EXISTS (SELECT FROM workflow_task_attempt
         WHERE attempt = 5 AND last_cause = 'NonDeterministicError' AND last_failure = 'it is another code'
           AND next_attempt_at > now() + interval '4 s' AND last_worker = 'old')",
    )
    .await;
    let waiting = described().await;
    assert_eq!(waiting.history_bytes, bytes);
    let pending = waiting.pending_workflow_task.unwrap();
    let failing = pending.failing.unwrap();
    assert_eq!((pending.attempt, failing.last.attempt), (5, 4));
    assert!(failing.since < failing.last.at);
    let due = pending.next_attempt_at.unwrap();
    assert!(due.since(failing.last.at) >= Duration::from_secs(8));

    let _same = Hand::connect(&engine, "old");
    let pending = described().await.pending_workflow_task.unwrap();
    assert_eq!(pending.next_attempt_at, Some(due), "it goes on waiting");

    let mut other = Hand::connect(&engine, "new");
    let pending = described().await.pending_workflow_task.unwrap();
    assert_eq!(pending.next_attempt_at, None, "it does not wait any more");
    let task = tokio::select! {
        task = other.workflow() => task,
        task = hand.workflow() => task,
    };
    assert_eq!(task.token.attempt, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_workflow_task_counts_on_after_a_crash() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = Hand::connect(&engine, "old");
    engine
        .start_workflow(&namespace(), start("one", "w"))
        .await
        .unwrap();
    for _ in 1..=3 {
        let task = hand.workflow().await;
        hand.fail_turn(task.token);
    }
    until(
        &url,
        "EXISTS (SELECT FROM workflow_task_attempt WHERE attempt = 4)",
    )
    .await;
    die(&engine, &url).await;
    let pending = engine
        .describe(&address("w"))
        .await
        .unwrap()
        .pending_workflow_task
        .unwrap();
    assert_eq!(pending.attempt, 4);
    let failing = pending.failing.unwrap();
    assert_eq!(failing.last.attempt, 3);
    assert!(failing.since < failing.last.at);
    check_audit(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_core_refuses_of_an_attempt_ends_it_at_once_and_its_worker_hears_why() {
    let url = database().await;
    let engine = owner(&url).await;
    let mut hand = one_activity(&engine, 3, Millis(10)).await;
    // Nobody asked it to cancel: the attempt failed, and the next one follows.
    let task = hand.activity().await;
    hand.say(FromWorker::ActivityTask {
        token: task.token,
        answer: ActivityTaskAnswer::Canceled {
            details: Payloads::default(),
        },
    });
    assert_eq!(
        hand.refusal().await,
        "no cancellation of this activity was requested"
    );
    let task = hand.activity().await;
    assert_eq!(task.token.attempt, 2);
    // What is too large is so again: the activity failed.
    hand.say(FromWorker::ActivityTask {
        token: task.token,
        answer: ActivityTaskAnswer::Heartbeat {
            details: Payloads::one(Payload::binary(vec![0; 3 * 1024 * 1024])),
        },
    });
    let problem = hand.refusal().await;
    assert!(problem.starts_with("heartbeat details: has "), "{problem}");
    let task = hand.workflow().await;
    let failed = task.events.iter().find_map(|event| match &event.kind {
        EventKind::ActivityTaskFailed(failed) => Some(failed.failure.message.clone()),
        _ => None,
    });
    assert_eq!(failed, Some(problem));
}

async fn check_audit(url: &str) {
    let pool = engine::audit::connect(url).await.unwrap();
    assert_eq!(engine::audit::check(&pool).await.unwrap(), []);
}
