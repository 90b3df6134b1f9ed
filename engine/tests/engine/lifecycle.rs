//! Workflows from start to end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use engine::{
    Config, Engine, Error, Role,
    peers::{Peers, Unreached},
};
use futures::future::BoxFuture;
use history::{
    Command, EventKind, Payloads, RequestId, Status, WorkflowId,
    decide::Rejection,
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    task::{FromWorker, ToWorker, WorkflowTaskAnswer},
    time::Millis,
};

use crate::{commands::continue_as_new, requests::terminate, support::*};

/// Completes with a word as soon as it has had so many signals, and no more.
fn after_signals(most: usize, word: &'static str) -> Script {
    Arc::new(move |_, events| {
        let signals = count(events, |kind| {
            matches!(kind, EventKind::WorkflowExecutionSignaled(_))
        });
        if signals == most {
            vec![complete(word)]
        } else {
            Vec::new()
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_one_activity_costs_two_commits() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    let (started, closed) = engine
        .execute_workflow(&namespace(), start("seq", "one"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(closed.closed().unwrap().status, Status::Completed);
    assert_eq!(
        names(&engine, "one").await,
        [
            "WorkflowExecutionStarted",
            "WorkflowTaskScheduled",
            "WorkflowTaskStarted",
            "WorkflowTaskCompleted",
            "ActivityTaskScheduled",
            "ActivityTaskStarted",
            "ActivityTaskCompleted",
            "WorkflowTaskScheduled",
            "WorkflowTaskStarted",
            "WorkflowTaskCompleted",
            "WorkflowExecutionCompleted",
        ]
    );
    assert!(started.started);
    assert_eq!(fewest_commits(&engine, &url, 2).await, 2);
}

/// Runs workflows of so many activities, one after the other, until one of them took no more commits than `expected`, and
/// returns the fewest that one took: on a busy machine a row does not always wait for its commands.
async fn fewest_commits(engine: &Engine, url: &str, expected: i64) -> i64 {
    let mut fewest = i64::MAX;
    for n in 0..50 {
        let before = number(url, "SELECT count(*) FROM feed").await;
        let workflow_id = format!("counted {n}");
        let (_, closed) = engine
            .execute_workflow(&namespace(), start("seq", &workflow_id), PATIENCE)
            .await
            .expect("it runs");
        assert_eq!(closed.closed().expect("it ends").status, Status::Completed);
        let commits = number(url, "SELECT count(*) FROM feed").await - before;
        fewest = fewest.min(commits);
        if fewest <= expected {
            break;
        }
    }
    fewest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_ten_activities_costs_eleven_commits() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(10), echo());
    assert_eq!(fewest_commits(&engine, &url, 11).await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workflows_share_commits() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(3), echo());
    let runs = (0..200).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move {
            engine
                .execute_workflow(&namespace(), start("seq", &format!("w{n}")), PATIENCE)
                .await
        })
    });
    for run in runs.collect::<Vec<_>>() {
        let (_, closed) = run.await.unwrap().unwrap();
        assert_eq!(closed.closed().unwrap().status, Status::Completed);
    }
    let rows = number(&url, "SELECT count(*) FROM history").await;
    let batches = number(&url, "SELECT count(*) FROM feed").await;
    assert!(batches * 2 < rows, "{rows} rows in {batches} batches");
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM execution WHERE status = 2 AND closed_at IS NOT NULL"
        )
        .await,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_starts_one_run() {
    let engine = owner(&database().await).await;
    let request = start("seq", "twice");
    let first = engine
        .start_workflow(&namespace(), request.clone())
        .await
        .unwrap();
    let second = engine.start_workflow(&namespace(), request).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_open_run_of_an_id_is_refused() {
    let engine = owner(&database().await).await;
    let first = engine
        .start_workflow(&namespace(), start("seq", "busy"))
        .await
        .unwrap();
    let refused = engine
        .start_workflow(&namespace(), start("seq", "busy"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::Rejected(Rejection::WorkflowAlreadyStarted { run_id, .. }) if run_id == first.run_id),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_sent_again_after_the_end_is_answered_with_the_end() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    let request = start("seq", "over");
    for _ in 0..3 {
        let (started, closed) = engine
            .execute_workflow(&namespace(), request.clone(), PATIENCE)
            .await
            .unwrap();
        let closed = closed.closed().unwrap();
        assert_eq!(closed.status, Status::Completed);
        assert_eq!(closed.run_id, started.run_id);
    }
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_terminates_the_run_before_is_one_commit_with_that_end() {
    let url = database().await;
    let engine = owner(&url).await;
    let request = |timeout| {
        let mut request = start("seq", "replaced");
        request.conflict_policy = WorkflowIdConflictPolicy::TerminateExisting;
        request.workflow_run_timeout = timeout;
        request
    };
    let namespace = namespace();
    let first = engine
        .start_workflow(&namespace, request(Millis::ZERO))
        .await
        .unwrap();
    // One that is refused terminates nothing.
    let refused = engine.start_workflow(&namespace, request(Millis(u64::MAX)));
    assert_eq!(refused.await.unwrap_err().code(), "INVALID_ARGUMENT");
    let described = engine.describe(&address("replaced")).await.unwrap();
    assert_eq!(
        (described.run_id, described.status),
        (first.run_id, Status::Running)
    );
    let commits = "SELECT count(*) FROM feed";
    let before = number(&url, commits).await;
    let second = engine
        .start_workflow(&namespace, request(Millis::ZERO))
        .await
        .unwrap();
    assert_eq!(number(&url, commits).await - before, 1);
    let described = engine.describe(&address("replaced")).await.unwrap();
    assert_eq!(
        (described.run_id, described.status),
        (second.run_id, Status::Running)
    );
    let ended = engine::Address {
        run_id: Some(first.run_id),
        ..address("replaced")
    };
    let ended = engine.describe(&ended).await.unwrap();
    assert_eq!(ended.status, Status::Terminated);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_an_end_and_hung_up_keeps_no_run_in_memory() {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.park_after = Duration::from_millis(100);
    let engine = owner_with(config).await;
    work(&engine, Arc::new(|_, _| Vec::new()), echo());
    engine
        .start_workflow(&namespace(), start("waits", "waits"))
        .await
        .unwrap();
    let open = engine.result(&address("waits"), Duration::ZERO).await;
    assert!(open.unwrap().closed().is_none());
    until(&url, "EXISTS (SELECT FROM open_run WHERE parked)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_may_be_used_again_after_its_run_closed_unless_its_policy_forbids_it() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    let (first, _) = engine
        .execute_workflow(&namespace(), start("seq", "again"), PATIENCE)
        .await
        .unwrap();
    let (second, closed) = engine
        .execute_workflow(&namespace(), start("seq", "again"), PATIENCE)
        .await
        .unwrap();
    assert_ne!(first.run_id, second.run_id);
    assert_eq!(closed.closed().unwrap().run_id, second.run_id);
    let mut strict = start("seq", "again");
    strict.reuse_policy = WorkflowIdReusePolicy::RejectDuplicate;
    let refused = engine
        .start_workflow(&namespace(), strict)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "WORKFLOW_ID_REUSE_REFUSED");
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 2);
    assert_eq!(number(&url, "SELECT count(*) FROM current_run").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_is_not_there_is_not_found() {
    let engine = owner(&database().await).await;
    let refused = engine
        .signal(&address("nobody"), signal("hello"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::WorkflowNotFound { .. }),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_wakes_the_workflow_and_counts_once_per_request() {
    let engine = owner(&database().await).await;
    work(&engine, after_signals(2, "two"), echo());
    engine
        .start_workflow(&namespace(), start("wait", "sig"))
        .await
        .unwrap();
    let first = signal("go");
    engine.signal(&address("sig"), first.clone()).await.unwrap();
    engine.signal(&address("sig"), first).await.unwrap();
    engine.signal(&address("sig"), signal("go")).await.unwrap();
    assert_eq!(end(&engine, "sig").await.status, Status::Completed);
    let signaled = names(&engine, "sig")
        .await
        .into_iter()
        .filter(|name| *name == "WorkflowExecutionSignaled")
        .count();
    assert_eq!(signaled, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_not_before_its_time() {
    let engine = owner(&database().await).await;
    work(
        &engine,
        Arc::new(|_, events| {
            if count(events, |kind| matches!(kind, EventKind::TimerFired(_))) == 1 {
                vec![complete("rang")]
            } else if count(events, |kind| matches!(kind, EventKind::TimerStarted(_))) == 0 {
                vec![Command::StartTimer {
                    timer_id: history::TimerId::known("t"),
                    start_to_fire_timeout: Millis(50),
                }]
            } else {
                Vec::new()
            }
        }),
        echo(),
    );
    engine
        .execute_workflow(&namespace(), start("timer", "t"), PATIENCE)
        .await
        .unwrap()
        .1
        .closed()
        .unwrap();
    let events = engine
        .history(&address("t"), history::EventId::NONE, 100, Duration::ZERO)
        .await
        .unwrap()
        .events;
    let at = |name: &str| {
        events
            .iter()
            .find(|event| event.kind.name() == name)
            .unwrap()
            .at
    };
    let ran = at("TimerFired").since(at("TimerStarted"));
    assert!(ran >= Duration::from_millis(50), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_retried_and_leaves_no_event() {
    let url = database().await;
    let engine = owner(&url).await;
    let script = sequence_with(
        1,
        Some(history::RetryPolicy {
            initial_interval: Millis(5),
            ..Default::default()
        }),
    );
    let act: Act = Arc::new(|task| {
        if task.token.attempt < 3 {
            Err(Box::new(history::Failure::application(
                "not yet", "Flaky", false,
            )))
        } else {
            Ok(Payloads::default())
        }
    });
    work(&engine, script, act);
    engine
        .execute_workflow(&namespace(), start("flaky", "f"), PATIENCE)
        .await
        .unwrap()
        .1
        .closed()
        .unwrap();
    let names = names(&engine, "f").await;
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with("ActivityTask"))
            .count(),
        3,
        "{names:?}"
    );
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM activity WHERE status = 'Completed' AND attempts = 3 AND last_failure = 'not yet'"
        )
        .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_returns_its_result_to_its_parent() {
    let url = database().await;
    let engine = owner(&url).await;
    work(
        &engine,
        Arc::new(|workflow_type, events| {
            if workflow_type.as_str() == "child" {
                return vec![complete("from the child")];
            }
            if count(events, |kind| {
                matches!(kind, EventKind::ChildWorkflowExecutionCompleted(_))
            }) == 3
            {
                vec![complete("three")]
            } else if count(events, |kind| {
                matches!(kind, EventKind::StartChildWorkflowExecutionInitiated(_))
            }) == 0
            {
                (0..3).map(|n| child(&format!("child-{n}"))).collect()
            } else {
                Vec::new()
            }
        }),
        echo(),
    );
    let (_, closed) = engine
        .execute_workflow(&namespace(), start("parent", "p"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(closed.closed().unwrap().status, Status::Completed);
    // All of the children is delivered.
    until(&url, "NOT EXISTS (SELECT FROM outbox)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_terminated_with_their_parent() {
    let engine = owner(&database().await).await;
    work(
        &engine,
        Arc::new(|workflow_type, events| {
            let started = count(events, |kind| {
                matches!(kind, EventKind::ChildWorkflowExecutionStarted(_))
            }) == 1;
            match workflow_type.as_str() {
                "parent" if started => vec![complete("left")],
                "parent" if events.len() < 4 => vec![child("orphan")],
                _ => Vec::new(),
            }
        }),
        echo(),
    );
    engine
        .execute_workflow(&namespace(), start("parent", "leaver"), PATIENCE)
        .await
        .unwrap()
        .1
        .closed()
        .unwrap();
    assert_eq!(end(&engine, "orphan").await.status, Status::Terminated);
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_as_new_goes_on_in_a_new_run_and_the_result_is_that_of_the_last() {
    let url = database().await;
    let engine = owner(&url).await;
    work(
        &engine,
        Arc::new(|_, events| {
            let EventKind::WorkflowExecutionStarted(started) = &events[0].kind else {
                panic!("no start")
            };
            if started.input.0.len() == 3 {
                return vec![complete("third")];
            }
            let mut input = started.input.clone();
            input.0.push(history::Payload::null());
            vec![continue_as_new(input, Vec::new())]
        }),
        echo(),
    );
    let (first, closed) = engine
        .execute_workflow(&namespace(), start("can", "chain"), PATIENCE)
        .await
        .unwrap();
    let closed = closed.closed().unwrap();
    assert_eq!(closed.status, Status::Completed);
    assert_ne!(closed.run_id, first.run_id);
    assert_eq!(
        number(&url, "SELECT count(*) FROM execution WHERE status = 6").await,
        3
    );
    assert_eq!(
        number(&url, "SELECT count(DISTINCT first_run_id) FROM execution").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_workflow_is_over_at_once() {
    let engine = owner(&database().await).await;
    engine
        .start_workflow(&namespace(), start("nobody-runs-this", "doomed"))
        .await
        .unwrap();
    let terminate = history::decide::Terminate {
        reason: "enough".to_owned(),
        details: Payloads::default(),
        identity: None,
    };
    engine
        .terminate(&address("doomed"), terminate)
        .await
        .unwrap();
    assert_eq!(end(&engine, "doomed").await.status, Status::Terminated);
    let refused = engine
        .signal(&address("doomed"), signal("late"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "WORKFLOW_CLOSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_only_waits_leaves_memory_and_comes_back() {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.park_after = Duration::ZERO;
    let engine = owner_with(config).await;
    work(&engine, after_signals(1, "woken"), echo());
    engine
        .start_workflow(&namespace(), start("wait", "sleeper"))
        .await
        .unwrap();
    until(&url, "EXISTS (SELECT FROM open_run WHERE parked)").await;
    engine
        .signal(&address("sleeper"), signal("wake"))
        .await
        .unwrap();
    assert_eq!(end(&engine, "sleeper").await.status, Status::Completed);
    assert_eq!(
        number(&url, "SELECT count(*) FROM open_run WHERE parked").await,
        0
    );
}

pub(crate) fn child(workflow_id: &str) -> Command {
    Command::StartChildWorkflowExecution(Box::new(history::command::StartChildWorkflowExecution {
        namespace: None,
        workflow_id: WorkflowId::known(workflow_id),
        workflow_type: history::WorkflowType::known("child"),
        task_queue: None,
        input: Payloads::default(),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        parent_close_policy: history::event::ParentClosePolicy::Terminate,
        workflow_id_reuse_policy: Default::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        header: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
    }))
}

#[tokio::test]
async fn one_thread_is_enough() {
    let engine = owner(&database().await).await;
    work(&engine, sequence(1), echo());
    let (_, closed) = engine
        .execute_workflow(&namespace(), start("seq", "alone"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(closed.closed().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_memory_is_short_runs_that_wait_leave_it_at_once() {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.memory_bytes = 0;
    let engine = owner_with(config).await;
    work(&engine, Arc::new(|_, _| Vec::new()), echo());
    for n in 0..20 {
        engine
            .start_workflow(&namespace(), start("wait", &format!("w{n}")))
            .await
            .unwrap();
    }
    until(&url, "(SELECT count(*) >= 20 FROM open_run WHERE parked)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_wait_for_a_closed_run_are_all_answered_when_it_is_read() {
    const STARTS: usize = 30;
    let url = database().await;
    let engine = owner(&url).await;
    let request = history::decide::StartWorkflow {
        reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
        ..start("none", "closed")
    };
    engine
        .start_workflow(&namespace(), request.clone())
        .await
        .unwrap();
    engine
        .terminate(&address("closed"), terminate())
        .await
        .unwrap();
    engine.close().await;
    let engine = owner(&url).await;
    let batches = "SELECT count(*) FROM feed";
    let before = number(&url, batches).await;
    let of = namespace();
    let starts = (0..STARTS).map(|n| {
        let request_id = RequestId::known(format!("again-{n}"));
        let request = history::decide::StartWorkflow {
            request_id,
            ..request.clone()
        };
        engine.start_workflow(&of, request)
    });
    for answer in futures::future::join_all(starts).await {
        assert_eq!(answer.unwrap_err().code(), "WORKFLOW_ID_REUSE_REFUSED");
    }
    // One of them hopes that the id is new; the others have heard by then.
    let batches = number(&url, batches).await - before;
    assert!(batches < 10, "{batches} batches for {STARTS} starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_follow_each_other_by_timeouts_are_not_decided_faster_than_they_are_written() {
    let url = database().await;
    let engine = owner(&url).await;
    let request = history::decide::StartWorkflow {
        workflow_run_timeout: Millis(1),
        retry_policy: Some(history::RetryPolicy {
            initial_interval: Millis(1),
            backoff_coefficient: 1.0,
            maximum_attempts: 0,
            ..Default::default()
        }),
        ..start("none", "hot")
    };
    engine.start_workflow(&namespace(), request).await.unwrap();
    until(&url, "(SELECT count(*) >= 5 FROM execution)").await;
    let other = connect(&url).await;
    other
        .batch_execute(
            "CREATE TABLE kept (since timestamptz, until timestamptz);
             BEGIN; LOCK TABLE execution IN SHARE MODE; INSERT INTO kept SELECT clock_timestamp();
             SELECT pg_sleep(0.4); UPDATE kept SET until = clock_timestamp(); COMMIT",
        )
        .await
        .unwrap();
    let ended = engine.terminate(&address("hot"), terminate()).await;
    assert!(ended.is_ok(), "{ended:?}");
    let begun = "SELECT count(*) FROM execution, kept WHERE started_at BETWEEN since AND until";
    let begun = number(&url, begun).await;
    assert!(
        begun < 10,
        "{begun} runs began while nothing could be written"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_to_a_workflow_task_that_failed_leaves_the_next_one_with_its_worker() {
    let url = database().await;
    let engine = owner(&url).await;
    let (answers, mut tasks) = connect_worker(&engine, hello("slow", 10, 0));
    let request = history::decide::StartWorkflow {
        workflow_task_timeout: Millis::seconds(120),
        ..start("slow", "busy")
    };
    engine.start_workflow(&namespace(), request).await.unwrap();
    let mut next = async || loop {
        match tokio::time::timeout(PATIENCE, tasks.recv()).await {
            Ok(Some(ToWorker::WorkflowTask(task))) => return task,
            Ok(Some(ToWorker::Evict(_))) => {}
            other => panic!("no workflow task came: {other:?}"),
        }
    };
    let late = next().await;
    // One more than may wait for the task under way: it fails, and the next one shows them all.
    for _ in 0..=history::limits::BUFFERED_EVENTS_MAX {
        engine.signal(&address("busy"), signal("s")).await.unwrap();
    }
    let task = next().await;
    assert_eq!(task.events[0].id, history::EventId::FIRST);
    for (task, commands) in [(late, Vec::new()), (task, vec![complete("done")])] {
        answers.send(FromWorker::WorkflowTask {
            token: task.token,
            answer: WorkflowTaskAnswer::Completed {
                commands,
                sdk_metadata: history::event::SdkMetadata::default(),
                sticky: true,
                unread_signals: Vec::new(),
            },
        });
    }
    assert_eq!(end(&engine, "busy").await.status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_that_nobody_waits_any_more_for_a_task_that_it_has() {
    let engine = owner(&database().await).await;
    let (_answers, mut tasks) = connect_worker(&engine, hello("slow", 10, 0));
    let request = history::decide::StartWorkflow {
        workflow_task_timeout: Millis(100),
        ..start("slow", "late")
    };
    let run_id = engine
        .start_workflow(&namespace(), request)
        .await
        .unwrap()
        .run_id;
    let mut heard = async || match tokio::time::timeout(PATIENCE, tasks.recv()).await {
        Ok(Some(ToWorker::WorkflowTask(task))) => {
            assert_eq!(task.events[0].id, history::EventId::FIRST);
            assert_eq!(task.start_to_close_timeout, Millis(100));
            format!("attempt {}", task.token.attempt)
        }
        Ok(Some(ToWorker::Evict(evicted))) if evicted == run_id => "evicted".to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(heard().await, "attempt 1");
    assert_eq!(heard().await, "evicted");
    assert_eq!(heard().await, "attempt 2");
    let terminate = history::decide::Terminate {
        reason: "no more".to_owned(),
        details: Payloads::default(),
        identity: None,
    };
    engine.terminate(&address("late"), terminate).await.unwrap();
    assert_eq!(heard().await, "evicted");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_begin_on_a_new_database_at_once() {
    const ENGINES: i64 = 4;
    for _ in 0..3 {
        let url = database().await;
        let engines = (0..ENGINES).map(|n| {
            let config = Config::new(&*url, format!("http://127.0.0.1:{}", n + 1));
            owner_with(config)
        });
        let engines = futures::future::join_all(engines).await;
        // Each time as a member has a number: nobody had to begin twice.
        let begun = number(&url, "SELECT max(epoch) FROM member").await;
        assert_eq!(begun, ENGINES);
        for engine in &engines {
            engine.close().await;
        }
    }
}

/// A way to the other members that panics once.
#[derive(Debug, Default)]
struct Faulty {
    has_panicked: AtomicBool,
}

impl Peers for Faulty {
    fn send(&self, _: &str, _: String) -> BoxFuture<'static, Result<String, Unreached>> {
        let again = self.has_panicked.swap(true, Ordering::Relaxed);
        assert!(again, "a way that leads into a pit");
        Box::pin(std::future::ready(Err(Unreached("no way".to_owned()))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_panics_is_none_until_it_has_joined_anew() {
    let url = database().await;
    let faulty = Arc::new(Faulty::default());
    let mut config = Config::new(&url, "http://127.0.0.1:1");
    config.peers = faulty.clone();
    let engine = owner_with(config).await;
    let before = engine.role();
    let other = Engine::open(Config::new(&url, "http://127.0.0.1:2"))
        .await
        .unwrap();

    let Role::Member { epoch: first, .. } = before else {
        panic!("{before:?}");
    };
    let joins = async {
        while !matches!(engine.role(), Role::Member { epoch, .. } if epoch > first) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, joins)
        .await
        .expect("it joins anew");

    assert!(faulty.has_panicked.load(Ordering::Relaxed));
    other.close().await;
    engine.close().await;
    assert_eq!(engine.role(), Role::Outside);
}
