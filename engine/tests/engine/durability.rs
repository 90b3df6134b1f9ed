//! What a crash, a lost answer, a poison row and a second engine do, and do not.

use std::{sync::Arc, time::Duration};

use engine::{Config, Engine, Role};
use history::{EventId, EventKind, Payloads, Status, decide};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_comes_back_goes_on_where_it_was() {
    let url = database().await;
    let first = owner(&url).await;
    first
        .start_workflow(&namespace(), start("seq", "survivor"))
        .await
        .unwrap();
    first.close().await;
    let second = owner(&url).await;
    work(&second, sequence(2), echo());
    assert_eq!(end(&second, "survivor").await.status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_run_is_found_however_long_ago_it_started() {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.lease = Duration::from_secs(1);
    // A run counts as old at once; without a worker it does not wait for anything that would let it be parked.
    config.park_after = Duration::ZERO;
    let first = owner_with(config).await;
    first
        .start_workflow(&namespace(), start("seq", "old"))
        .await
        .unwrap();
    let old = async {
        while number(
            &url,
            "SELECT count(*) FROM open_run o, member m, execution e
             WHERE NOT o.parked AND e.run_id = o.run_id AND m.open_since > e.started_at",
        )
        .await
            == 0
        {}
    };
    tokio::time::timeout(PATIENCE, old)
        .await
        .expect("it is registered, and the mark passes it");
    first.close().await;
    let second = owner(&url).await;
    work(&second, sequence(2), echo());
    assert_eq!(end(&second, "old").await.status, Status::Completed);
    assert_eq!(number(&url, "SELECT count(*) FROM open_run").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_its_share_names_the_owner_of_the_rest_and_takes_all_when_the_first_leaves()
 {
    let url = database().await;
    let first = owner_with(Config::new(&*url, "http://first")).await;
    first.serving(1024).await;
    let second = owner_with(Config::new(&*url, "http://second")).await;
    // About a half; in one piece only when the last of it has come.
    let shared = async {
        loop {
            let (Role::Member { shards: one, .. }, Role::Member { shards: other, .. }) =
                (first.role(), second.role())
            else {
                panic!("both are members");
            };
            if one + other == 1024 && (350..675).contains(&one) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, shared)
        .await
        .expect("they share the shards");
    let mut elsewhere = 0;
    for n in 0..40 {
        let id = format!("w{n}");
        match second.start_workflow(&namespace(), start("seq", &id)).await {
            Ok(_) => {}
            Err(engine::Error::NotOwner { owner }) => {
                assert_eq!(owner.as_deref(), Some("http://first"));
                elsewhere += 1;
                first
                    .start_workflow(&namespace(), start("seq", &id))
                    .await
                    .unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..40).contains(&elsewhere), "{elsewhere}");
    first.close().await;
    tokio::time::timeout(PATIENCE, second.serving(1024))
        .await
        .expect("the other one takes all");
    assert!(matches!(second.role(), Role::Member { epoch: 2, .. }));
    work(&second, sequence(2), echo());
    for n in 0..40 {
        assert_eq!(
            end(&second, &format!("w{n}")).await.status,
            Status::Completed
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_looked_up_and_nothing_is_lost_or_doubled() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(3), echo());
    let runs: Vec<_> = (0..100)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move {
                engine
                    .execute_workflow(&namespace(), start("seq", &format!("w{n}")), PATIENCE)
                    .await
            })
        })
        .collect();
    for _ in 0..5 {
        execute(&url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'coreason % commit _' AND datname = current_database()").await;
    }
    for run in runs {
        assert_eq!(
            run.await.unwrap().unwrap().1.closed().unwrap().status,
            Status::Completed
        );
    }
    assert!(
        matches!(engine.role(), Role::Member { epoch: 1, .. }),
        "the ownership outlives its connections"
    );
    assert_eq!(
        number(&url, "SELECT count(*) FROM execution WHERE status = 2").await,
        100
    );
    let completions = "SELECT count(*) FROM (SELECT regexp_matches(records, '\"ActivityTaskCompleted\":', 'g') FROM history) AS c";
    assert_eq!(
        number(&url, completions).await,
        300,
        "each activity is completed once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_row_is_refused_and_its_neighbours_are_not() {
    let url = database().await;
    let engine = owner(&url).await;
    execute(
        &url,
        "ALTER TABLE execution ADD CONSTRAINT no_poison CHECK (workflow_id <> 'poison')",
    )
    .await;
    work(&engine, sequence(1), echo());
    let good: Vec<_> = (0..50)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move {
                engine
                    .execute_workflow(&namespace(), start("seq", &format!("good{n}")), PATIENCE)
                    .await
            })
        })
        .collect();
    let poison = engine
        .start_workflow(&namespace(), start("seq", "poison"))
        .await
        .unwrap_err();
    assert_eq!(poison.code(), "DATA_REFUSED");
    for run in good {
        assert_eq!(
            run.await.unwrap().unwrap().1.closed().unwrap().status,
            Status::Completed
        );
    }
    execute(&url, "ALTER TABLE execution DROP CONSTRAINT no_poison").await;
    let (_, closed) = engine
        .execute_workflow(&namespace(), start("seq", "poison"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        closed.closed().unwrap().status,
        Status::Completed,
        "the id is good again when its data is"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_by_a_stale_owner_writes_nothing() {
    let url = database().await;
    let engine = owner(&url).await;
    execute(&url, "UPDATE slot SET epoch = epoch + 1").await;
    let refused = engine
        .start_workflow(&namespace(), start("seq", "late"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "UNAVAILABLE");
    assert_eq!(number(&url, "SELECT count(*) FROM history").await, 0);
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 0);
}

/// What it has in memory may be an old story: another member may have closed the workflow since.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_owner_does_not_tell_what_it_last_knew() {
    let url = database().await;
    let engine = owner(&url).await;
    let (namespace, known) = (namespace(), address("known"));
    let again = || engine.start_workflow(&namespace, start("seq", "known"));
    let sent = || engine.signal(&known, repeated("once"));
    again().await.unwrap();
    sent().await.unwrap();
    sent().await.expect("it was heard before");
    assert_eq!(
        again().await.unwrap_err().code(),
        "WORKFLOW_ALREADY_STARTED"
    );
    execute(&url, "UPDATE slot SET epoch = epoch + 1").await;
    let (started, signaled) = tokio::join!(again(), sent());
    for error in [started.unwrap_err(), signaled.unwrap_err()] {
        assert!(
            matches!(error.code(), "UNAVAILABLE" | "NOT_OWNER"),
            "{error}"
        );
    }
}

fn repeated(request: &str) -> decide::Signal {
    decide::Signal {
        request_id: Some(history::RequestId::known(request)),
        ..signal("s")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_known_to_the_database_alone_is_found() {
    let url = database().await;
    let request = start("seq", "known");
    let first = owner(&url).await;
    work(&first, sequence(1), echo());
    let (started, _) = first
        .execute_workflow(&namespace(), request.clone(), PATIENCE)
        .await
        .unwrap();
    first.close().await;
    // The second engine has never heard of the id: the commit itself tells it.
    let second = owner(&url).await;
    work(&second, sequence(1), echo());
    assert_eq!(
        second
            .start_workflow(&namespace(), request)
            .await
            .unwrap()
            .run_id,
        started.run_id,
        "the same request is the same run"
    );
    let (again, closed) = second
        .execute_workflow(&namespace(), start("seq", "known"), PATIENCE)
        .await
        .unwrap();
    assert_ne!(again.run_id, started.run_id);
    assert_eq!(closed.closed().unwrap().status, Status::Completed);
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_for_an_id_while_its_start_is_committed_is_decided_on_what_the_id_means() {
    let url = database().await;
    let first = owner(&url).await;
    let started = first
        .start_workflow(&namespace(), start("wait", "shared"))
        .await
        .unwrap();
    // It leaves memory: the next engine does not know the id.
    execute(
        &url,
        "INSERT INTO open_run SELECT shard, run_id, true, NULL FROM execution
         ON CONFLICT (shard, run_id) DO UPDATE SET parked = true",
    )
    .await;
    first.close().await;
    let second = owner(&url).await;
    let use_existing = || {
        let mut request = start("wait", "shared");
        request.conflict_policy = history::event::WorkflowIdConflictPolicy::UseExisting;
        request
    };
    let namespace = namespace();
    let address = address("shared");
    let (one, two, signaled) = tokio::join!(
        second.start_workflow(&namespace, use_existing()),
        second.start_workflow(&namespace, use_existing()),
        second.signal(&address, signal("hello")),
    );
    assert_eq!(one.unwrap().run_id, started.run_id);
    assert_eq!(two.unwrap().run_id, started.run_id);
    signaled.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_rows_are_not_what_was_committed_does_not_stop_a_takeover() {
    let url = database().await;
    let first = owner(&url).await;
    for id in ["broken", "forged", "whole"] {
        first
            .start_workflow(&namespace(), start("seq", id))
            .await
            .unwrap();
    }
    first.close().await;
    execute(
        &url,
        "UPDATE history h SET records = '[{}]' FROM execution e
         WHERE e.run_id = h.run_id AND e.workflow_id = 'broken'",
    )
    .await;
    execute(
        &url,
        r#"UPDATE history h SET records = replace(records, '"seq"', '"sez"') FROM execution e
         WHERE e.run_id = h.run_id AND e.workflow_id = 'forged'"#,
    )
    .await;
    let second = owner(&url).await;
    work(&second, sequence(1), echo());
    assert_eq!(end(&second, "whole").await.status, Status::Completed);
    for id in ["broken", "forged"] {
        let address = address(id);
        let read = [
            second.describe(&address).await.map(drop),
            second.result(&address, PATIENCE).await.map(drop),
            second
                .history(&address, EventId::NONE, 10, PATIENCE)
                .await
                .map(drop),
        ];
        let terminate = decide::Terminate {
            reason: String::new(),
            details: Payloads::default(),
            identity: None,
        };
        let changed = [
            second.terminate(&address, terminate).await,
            second
                .start_workflow(&namespace(), start("seq", id))
                .await
                .map(drop),
        ];
        for answer in read.into_iter().chain(changed) {
            // To send it again would not help.
            let error = answer.unwrap_err();
            assert_eq!(error.code(), "HISTORY_CORRUPT", "{id}");
            assert!(error.to_string().contains(" row 0"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_passed_while_nobody_was_there_fires_at_once() {
    let url = database().await;
    let script: Script = Arc::new(|_, events| {
        if count(events, |kind| matches!(kind, EventKind::TimerFired(_))) == 1 {
            vec![complete("rang")]
        } else if count(events, |kind| matches!(kind, EventKind::TimerStarted(_))) == 0 {
            let start_to_fire_timeout = history::time::Millis(300);
            vec![history::Command::StartTimer {
                timer_id: history::TimerId::known("t"),
                start_to_fire_timeout,
            }]
        } else {
            Vec::new()
        }
    });
    let first = owner(&url).await;
    work(&first, Arc::clone(&script), echo());
    first
        .start_workflow(&namespace(), start("timer", "late"))
        .await
        .unwrap();
    until(
        &url,
        "EXISTS (SELECT FROM history_event WHERE workflow_id = 'late' AND event_type = 'TimerStarted')",
    )
    .await;
    first.close().await;
    let second = owner(&url).await;
    work(&second, script, echo());
    assert_eq!(end(&second, "late").await.status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_with_one_attempt_is_noted_before_it_starts() {
    let url = database().await;
    let engine = owner(&url).await;
    let script = sequence_with(
        1,
        Some(history::RetryPolicy {
            maximum_attempts: 1,
            ..Default::default()
        }),
    );
    let seen = Arc::new(std::sync::atomic::AtomicI64::new(-1));
    let (seen_by_activity, url_of_activity) = (Arc::clone(&seen), url.clone());
    let act: Act = Arc::new(move |_| {
        let noted = std::thread::scope(|scope| {
            let sql = "SELECT count(*) FROM history WHERE records LIKE '%ActivityAttemptStarted%'";
            let runtime = || {
                tokio::runtime::Runtime::new()
                    .unwrap()
                    .block_on(number(&url_of_activity, sql))
            };
            scope.spawn(runtime).join().unwrap()
        });
        seen_by_activity.store(noted, std::sync::atomic::Ordering::SeqCst);
        Ok(Payloads::default())
    });
    work(&engine, script, act);
    engine
        .execute_workflow(&namespace(), start("once", "o"), PATIENCE)
        .await
        .unwrap()
        .1
        .closed()
        .unwrap();
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_binary_refuses_a_newer_schema() {
    let url = database().await;
    owner(&url).await.close().await;
    execute(&url, "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'from the future', true, '', 0)").await;
    let refused = Engine::open(Config::new(&*url, "http://127.0.0.1:1"))
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.code(), "SCHEMA_TOO_NEW");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_task_whose_worker_left_goes_to_another() {
    let url = database().await;
    let engine = owner(&url).await;
    let (answers, mut tasks) = connect_worker(&engine, hello("silent", 1, 0));
    engine
        .start_workflow(&namespace(), start("seq", "handed-over"))
        .await
        .unwrap();
    tasks.recv().await.expect("it gets the task");
    drop(answers);
    work(&engine, sequence(1), echo());
    let closed = tokio::time::timeout(Duration::from_secs(8), async {
        end(&engine, "handed-over").await
    })
    .await;
    assert_eq!(
        closed.expect("before the task's own timeout").status,
        Status::Completed
    );
}

/// Makes the first `times` inserts into `history` fail as a conflict of transactions would.
async fn fail_first(url: &str, times: u32) {
    let sql = format!(
        "CREATE SEQUENCE failures;
         CREATE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('failures') <= {times} THEN
                 RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fail_first BEFORE INSERT ON history FOR EACH STATEMENT EXECUTE FUNCTION fail_first()"
    );
    execute(url, &sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_failed_for_a_passing_reason_is_tried_again() {
    let url = database().await;
    let engine = owner(&url).await;
    fail_first(&url, 3).await;
    work(&engine, sequence(2), echo());
    let (_, closed) = engine
        .execute_workflow(&namespace(), start("seq", "retried"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(closed.closed().unwrap().status, Status::Completed);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM history WHERE first_event_id = 1"
        )
        .await,
        1,
        "the batch that failed three times is there once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_keeps_failing_costs_the_ownership_but_no_acknowledged_work() {
    let url = database().await;
    let engine = owner(&url).await;
    engine
        .start_workflow(&namespace(), start("seq", "acknowledged"))
        .await
        .unwrap();
    fail_first(&url, 5).await;
    let refused = engine
        .start_workflow(&namespace(), start("seq", "unlucky"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "UNAVAILABLE");
    let owns_again = async {
        while !matches!(engine.role(), Role::Member { epoch: 2, .. }) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, owns_again)
        .await
        .expect("it owns again");
    work(&engine, sequence(1), echo());
    assert_eq!(end(&engine, "acknowledged").await.status, Status::Completed);
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM execution WHERE workflow_id = 'unlucky'"
        )
        .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_no_fault_of_a_request() {
    let url = database().await;
    let engine = owner(&url).await;
    execute(&url, "ALTER TABLE history RENAME TO gone").await;
    let refused = engine
        .start_workflow(&namespace(), start("seq", "unlucky"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "UNAVAILABLE", "{refused}");
    execute(&url, "ALTER TABLE gone RENAME TO history").await;
    let started = async {
        while engine
            .start_workflow(&namespace(), start("seq", "lucky"))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, started)
        .await
        .expect("it goes on when the table is there again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_delivers_its_result_after_a_restart() {
    let url = database().await;
    let parent: Script = Arc::new(|workflow_type, events| {
        let closed =
            |kind: &EventKind| matches!(kind, EventKind::ChildWorkflowExecutionCompleted(_));
        match workflow_type.as_str() {
            "parent" if events.len() < 4 => vec![crate::lifecycle::child("sender")],
            "parent" if count(events, closed) == 1 => vec![complete("told")],
            "child" => vec![complete("undelivered")],
            _ => Vec::new(),
        }
    });
    let first = owner(&url).await;
    // What the parent commits of its child's end is refused, so that is undelivered still when the engine is gone.
    execute(
        &url,
        "ALTER TABLE history ADD CONSTRAINT deaf CHECK (records NOT LIKE '%ChildWorkflowExecutionCompleted%')",
    )
    .await;
    work(&first, Arc::clone(&parent), echo());
    first
        .start_workflow(&namespace(), start("parent", "parent"))
        .await
        .unwrap();
    // The child has its result to deliver.
    until(&url, "EXISTS (SELECT FROM outbox)").await;
    first.close().await;
    execute(&url, "ALTER TABLE history DROP CONSTRAINT deaf").await;
    let second = owner(&url).await;
    work(&second, parent, echo());
    assert_eq!(end(&second, "parent").await.status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_memory_has_no_room_for_is_worked_off_after_a_restart() {
    const RUNS: usize = 600;
    let url = database().await;
    let config = Config {
        memory_bytes: 0,
        park_after: Duration::ZERO,
        ..Config::new(&url, "http://127.0.0.1:1")
    };
    let engine = owner_with(config.clone()).await;
    let ids: Vec<String> = (0..RUNS).map(|n| format!("waits-{n}")).collect();
    for id in &ids {
        let request = start("seq", id);
        engine.start_workflow(&namespace(), request).await.unwrap();
    }
    until(
        &url,
        "(SELECT count(*) >= 600 FROM open_run WHERE NOT parked)",
    )
    .await;
    engine.close().await;
    let engine = owner_with(config).await;
    work(&engine, sequence(1), echo());
    for id in &ids {
        assert_eq!(end(&engine, id).await.status, Status::Completed, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_cannot_be_read_for_a_worker_is_described_until_it_can() {
    let url = database().await;
    let engine = owner(&url).await;
    let script: Script = Arc::new(|_, events| {
        let went = count(events, |kind| {
            matches!(kind, EventKind::WorkflowExecutionSignaled(_))
        });
        if went > 0 {
            vec![complete("gone")]
        } else {
            Vec::new()
        }
    });
    let first = work(&engine, script.clone(), echo());
    engine
        .start_workflow(&namespace(), start("waiter", "w"))
        .await
        .unwrap();
    let waiter = address("w");
    let begun = engine.history(&waiter, EventId(3), 1, PATIENCE);
    assert_eq!(begun.await.unwrap().events.len(), 1);
    // Only the worker that goes has the whole run.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    engine.signal(&address("w"), signal("go")).await.unwrap();
    let described = async || engine.describe(&address("w")).await.unwrap();
    while described().await.workflow_task_starved.is_none() {}
    execute(
        &url,
        "CREATE TABLE kept AS TABLE history; UPDATE history SET records = '[{}]'",
    )
    .await;

    let _second = work(&engine, script, echo());
    let unreadable = loop {
        if let Some(unreadable) = described().await.unreadable {
            break unreadable;
        }
    };
    assert!(
        unreadable.problem.starts_with("table history, run "),
        "{unreadable:?}"
    );
    execute(
        &url,
        "UPDATE history h SET records = k.records FROM kept k WHERE k.run_id = h.run_id AND k.seq = h.seq",
    )
    .await;
    assert_eq!(end(&engine, "w").await.status, Status::Completed);
    assert_eq!(described().await.unreadable, None);
}
