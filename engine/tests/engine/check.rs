//! What must always hold: a database of real runs passes, and each rule finds what breaks it, by its name.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use engine::{Config, Engine};
use history::{
    Command, Event, EventKind, Failure, Payloads, RetryPolicy, SignalName, TimerId, WorkflowId,
    WorkflowType, decide::StartWorkflow, time::Millis,
};

use crate::{commands::continue_as_new, lifecycle::child, support::*};

/// What breaks each rule, on the database of [`busy`].
const BREAKS: &[(&str, &str)] = &[
    (
        "ROW_UNREADABLE",
        "UPDATE history SET records = left(records, 20) WHERE run_id = pg_temp.run('waiter') AND seq = 1",
    ),
    (
        "ROW_UNREADABLE",
        "UPDATE history SET version = 7 WHERE run_id = pg_temp.run('steps') AND seq = 1",
    ),
    (
        "ROW_UNREADABLE",
        "UPDATE history SET records = '[]' WHERE run_id = pg_temp.run('steps') AND seq = 1",
    ),
    (
        "EVENT_IDS_BROKEN",
        "UPDATE history SET seq = seq + 100 WHERE run_id = pg_temp.run('waiter') AND seq > 0",
    ),
    (
        "EVENT_IDS_BROKEN",
        "UPDATE history SET first_event_id = first_event_id - 1 WHERE run_id = pg_temp.run('waiter') AND seq = 1",
    ),
    (
        "EVENT_IDS_BROKEN",
        r#"UPDATE history SET records = regexp_replace(records, '"id":1,', '"id":2,') WHERE run_id = pg_temp.run('idle')"#,
    ),
    (
        "RECORD_AFTER_CLOSE",
        r#"SELECT pg_temp.append('steps', '{"ActivityHeartbeat":{"scheduled_event_id":5,"attempt":1,"details":[]}}')"#,
    ),
    (
        "TIME_RAN_BACK",
        r#"UPDATE history SET records = regexp_replace(records, '"t":[0-9]+', '"t":1000') WHERE run_id = pg_temp.run('waiter') AND seq = 1"#,
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET status = 3 WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET history_length = history_length + 1 WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET closed_at = closed_at + interval '1 microsecond' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET status = 1, closed_at = NULL, history_length = NULL WHERE run_id = pg_temp.run('steps');
         INSERT INTO open_run SELECT shard, run_id, false FROM execution WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET workflow_type = 'another' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET task_queue = 'another' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET request_id = 'another' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET first_run_id = gen_random_uuid() WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET parent_workflow_id = 'another' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET root_run_id = gen_random_uuid(), root_workflow_id = 'another' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET started_at = started_at - interval '1 microsecond' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "EXECUTION_DISAGREES",
        "UPDATE execution SET execution_at = started_at + interval '1 second' WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "RUN_WITHOUT_HISTORY",
        "DELETE FROM history WHERE run_id = pg_temp.run('waiter')",
    ),
    (
        "RUN_WITHOUT_EXECUTION",
        "INSERT INTO history SELECT shard, gen_random_uuid(), seq, first_event_id, version, records, hash FROM history LIMIT 1",
    ),
    (
        "CURRENT_RUN_WRONG",
        "SELECT pg_temp.again('steps'); UPDATE current_run SET run_id = '01000000-0000-7000-8000-000000000000' WHERE workflow_id = 'steps'",
    ),
    (
        "CURRENT_RUN_WRONG",
        "UPDATE current_run SET run_id = previous_run_id WHERE workflow_id = 'chain'",
    ),
    (
        "CURRENT_RUN_WRONG",
        "DELETE FROM current_run WHERE workflow_id = 'steps'",
    ),
    (
        "CURRENT_RUN_WRONG",
        "UPDATE current_run SET run_id = pg_temp.run('waiter') WHERE workflow_id = 'steps'",
    ),
    ("TWO_OPEN_RUNS", "SELECT pg_temp.again('waiter')"),
    (
        "WORKFLOW_TASKS_OVERLAP",
        "UPDATE history SET records = replace(records, 'WorkflowTaskStarted', 'MarkerRecorded') WHERE run_id = pg_temp.run('waiter') AND seq = 0",
    ),
    (
        "WORKFLOW_TASKS_OVERLAP",
        r#"SELECT pg_temp.append('waiter', '{"WorkflowTaskScheduled":{}}', '{"WorkflowTaskScheduled":{}}')"#,
    ),
    (
        "ENDED_TWICE",
        r#"SELECT pg_temp.append('waiter', '{"TimerCanceled":{"timer_id":"t","started_event_id":5}}', '{"TimerCanceled":{"timer_id":"t","started_event_id":5}}')"#,
    ),
    (
        "ENDED_UNASKED",
        r#"SELECT pg_temp.append('waiter', '{"ActivityTaskCompleted":{"scheduled_event_id":5,"started_event_id":6}}')"#,
    ),
    (
        "TIMER_EARLY",
        r#"SELECT pg_temp.append('waiter', '{"TimerFired":{"timer_id":"t","started_event_id":5}}')"#,
    ),
    (
        "TOO_MANY_ATTEMPTS",
        r#"UPDATE history SET records = regexp_replace(records, '(\{"t":[0-9]+,"n":\{"ActivityAttemptStarted":[^}]*\}\}\})', '\1,\1')
           WHERE run_id = pg_temp.run('steps')"#,
    ),
    (
        "TOO_MANY_ATTEMPTS",
        r#"UPDATE history SET records = replace(records, '"initial_interval":5,', '"initial_interval":5,"maximum_attempts":1,')
           WHERE run_id = pg_temp.run('steps')"#,
    ),
    (
        "REQUEST_RECORDED_TWICE",
        r#"SELECT pg_temp.append('waiter', '{"WorkflowExecutionSignaled":{"signal_name":"s","request_id":"r"}}',
                                 '{"WorkflowExecutionSignaled":{"signal_name":"s","request_id":"r"}}')"#,
    ),
    (
        "CHILD_UNASKED",
        r#"UPDATE history SET records = replace(records, '"workflow_id":"child-0"', '"workflow_id":"child-9"') WHERE run_id = pg_temp.run('parent')"#,
    ),
    (
        "CHILD_UNASKED",
        "UPDATE execution SET request_id = parent_run_id || ':3' WHERE run_id = pg_temp.run('child-1')",
    ),
    ("CHILD_STARTED_TWICE", "SELECT pg_temp.again('child-0')"),
    (
        "LISTED_CLOSED_RUN",
        "INSERT INTO open_run SELECT shard, run_id, false FROM execution WHERE run_id = pg_temp.run('steps')",
    ),
    (
        "PARKED_TOO_LATE",
        "UPDATE open_run SET due_at = NULL WHERE run_id = pg_temp.run('waiter')",
    ),
    (
        "PARKED_TOO_LATE",
        "UPDATE open_run SET due_at = due_at + interval '1 microsecond' WHERE run_id = pg_temp.run('waiter')",
    ),
    (
        "PARKED_TOO_LATE",
        "UPDATE open_run SET due_at = NULL WHERE run_id = pg_temp.run('delayed')",
    ),
    (
        "OPEN_RUN_UNLISTED",
        "DELETE FROM open_run; UPDATE shard_owner SET open_since = now()",
    ),
    (
        "ROW_UNREADABLE",
        "INSERT INTO attempt SELECT shard, run_id, 5, 1, '{' FROM execution WHERE run_id = pg_temp.run('waiter')",
    ),
    (
        "ATTEMPT_LEFT_OVER",
        r#"INSERT INTO attempt SELECT shard, run_id, 5, 1, '{"t":1,"n":{"ActivityAttempts":{"scheduled_event_id":5,"attempt":2}}}'
           FROM execution WHERE run_id = pg_temp.run('waiter')"#,
    ),
    (
        "ATTEMPT_LEFT_OVER",
        r#"INSERT INTO attempt SELECT shard, run_id, 0, 1, '{"t":1,"n":{"WorkflowTaskAttempts":{"attempt":2}}}'
           FROM execution WHERE run_id IN (pg_temp.run('waiter'), pg_temp.run('steps'))"#,
    ),
    (
        "OUTBOX_OF_OPEN_RUN",
        "INSERT INTO outbox SELECT shard, run_id FROM execution WHERE run_id = pg_temp.run('waiter')",
    ),
];

/// What the statements above are made of.
const WORDS: &str = r#"
    CREATE FUNCTION pg_temp.run(workflow text) RETURNS uuid LANGUAGE sql AS $$
        SELECT run_id FROM current_run WHERE workflow_id = workflow
    $$;
    -- Adds a row of events to a run; what is named Activity… is a note.
    CREATE FUNCTION pg_temp.append(workflow text, VARIADIC kinds text[]) RETURNS void LANGUAGE sql AS $$
        INSERT INTO history
        SELECT h.shard, h.run_id, max(h.seq) + 1, max(l.id) + 1, 1,
               (SELECT '[' || string_agg(CASE WHEN k.kind LIKE '{"ActivityHeartbeat%'
                                              THEN format('{"t":%s,"n":%s}', max(l.t), k.kind)
                                              ELSE format('{"id":%s,"t":%s,"e":%s}', max(l.id) + k.n, max(l.t), k.kind)
                                         END, ',') || ']'
                FROM unnest(kinds) WITH ORDINALITY AS k (kind, n)),
               sha256('')
        FROM history h
        CROSS JOIN LATERAL (
            SELECT max((r.value ->> 'id')::bigint) AS id, max((r.value ->> 't')::bigint) AS t
            FROM jsonb_array_elements(h.records::jsonb) AS r
        ) AS l
        WHERE h.run_id = pg_temp.run(workflow)
        GROUP BY h.shard, h.run_id
    $$;
    -- Copies a run, as one that started long before.
    CREATE FUNCTION pg_temp.again(workflow text) RETURNS void LANGUAGE sql AS $$
        INSERT INTO history
        SELECT shard, '01000000-0000-7000-8000-000000000000', seq, first_event_id, version,
               replace(records, run_id::text, '01000000-0000-7000-8000-000000000000'), hash
        FROM history
        WHERE run_id = pg_temp.run(workflow);
        INSERT INTO execution
        SELECT (jsonb_populate_record(e, jsonb_build_object('run_id', '01000000-0000-7000-8000-000000000000',
                                                            'first_run_id', '01000000-0000-7000-8000-000000000000'))).*
        FROM execution e
        WHERE run_id = pg_temp.run(workflow);
        INSERT INTO open_run
        SELECT shard, '01000000-0000-7000-8000-000000000000', parked, due_at FROM open_run WHERE run_id = pg_temp.run(workflow);
    $$;
"#;

fn done(events: &[Arc<Event>], name: &str) -> usize {
    count(events, |kind| kind.name() == name)
}

fn with_retries(id: &str, initial_interval: u64, maximum_attempts: u32) -> Command {
    let mut activity = activity(id);
    activity.retry_policy = Some(RetryPolicy {
        initial_interval: Millis(initial_interval),
        maximum_attempts,
        ..Default::default()
    });
    Command::ScheduleActivityTask(Box::new(activity))
}

fn timer(millis: u64) -> Command {
    Command::StartTimer {
        timer_id: TimerId::known("t"),
        start_to_fire_timeout: Millis(millis),
    }
}

fn signal_waiter() -> Command {
    Command::SignalExternalWorkflowExecution {
        namespace: namespace(),
        workflow_id: WorkflowId::known("waiter"),
        run_id: None,
        signal_name: SignalName::known("from the parent"),
        input: Payloads::default(),
        child_workflow_only: false,
        header: Default::default(),
    }
}

/// A bit of everything, by the type of the workflow.
fn code(workflow_type: &WorkflowType, events: &[Arc<Event>]) -> Vec<Command> {
    let first_task = done(events, "WorkflowTaskCompleted") == 0;
    match workflow_type.as_str() {
        "steps" => match done(events, "ActivityTaskCompleted") + done(events, "TimerFired") {
            0 if first_task => vec![with_retries("flaky", 5, 0)],
            1 if done(events, "ActivityTaskScheduled") == 1 => vec![with_retries("once", 1000, 1)],
            2 if done(events, "TimerStarted") == 0 => vec![timer(20)],
            3 => vec![complete("steps")],
            _ => Vec::new(),
        },
        "parent" if first_task => vec![child("child-0"), child("child-1"), signal_waiter()],
        "parent"
            if done(events, "ChildWorkflowExecutionCompleted") == 2
                && done(events, "ExternalWorkflowExecutionSignaled") == 1 =>
        {
            vec![complete("children")]
        }
        "child" => vec![complete("child")],
        "chain" => chain(events),
        "waiter" if first_task => vec![timer(3_600_000)],
        _ => Vec::new(),
    }
}

/// Three runs in a row.
fn chain(events: &[Arc<Event>]) -> Vec<Command> {
    let EventKind::WorkflowExecutionStarted(started) = &events[0].kind else {
        unreachable!("a history begins with its start")
    };
    if started.input.0.len() == 2 {
        return vec![complete("chain")];
    }
    let mut input = started.input.clone();
    input.0.push(history::Payload::null());
    vec![continue_as_new(input, Vec::new())]
}

/// Returns a database in which an engine ran, and left, workflows of every kind: `steps`, `parent` with two children, and `chain`
/// are done, `idle` was terminated, `waiter` had a signal and is parked before its timer, and so is `delayed` before its first task.
async fn busy() -> String {
    let url = database().await;
    let mut config = Config::new(&*url, "http://127.0.0.1:1");
    config.park_after = Duration::ZERO;
    let engine = owner_with(config).await;
    let act: Act = Arc::new(|task| {
        if task.activity_id.as_str() == "flaky" && task.token.attempt < 2 {
            return Err(Box::new(Failure::application("not yet", "Flaky", false)));
        }
        Ok(Payloads::default())
    });
    work(&engine, Arc::new(code), act);
    for open in ["waiter", "idle"] {
        engine
            .start_workflow(&namespace(), start(open, open))
            .await
            .unwrap();
    }
    let delayed = StartWorkflow {
        start_delay: Millis::seconds(3600),
        ..start("delayed", "delayed")
    };
    engine.start_workflow(&namespace(), delayed).await.unwrap();
    for closing in ["steps", "parent", "chain"] {
        let (_, closed) = engine
            .execute_workflow(&namespace(), start(closing, closing), PATIENCE)
            .await
            .unwrap();
        closed.closed().expect("it ends in time");
    }
    terminate(&engine, "idle").await;
    let at_rest = async {
        while number(
            &url,
            "SELECT (SELECT count(*) FROM outbox) + 2 - (SELECT count(*) FROM open_run WHERE parked)",
        )
        .await
            > 0
        {}
    };
    tokio::time::timeout(PATIENCE, at_rest)
        .await
        .expect("two are parked and nothing is undelivered");
    engine.close().await;
    url
}

async fn terminate(engine: &Engine, workflow_id: &str) {
    let terminate = history::decide::Terminate {
        reason: "enough".to_owned(),
        details: Payloads::default(),
        identity: None,
    };
    engine
        .terminate(&address(workflow_id), terminate)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_writes_breaks_no_rule_and_what_breaks_one_is_found_by_its_name() {
    let url = busy().await;
    let pool = engine::audit::connect(&url).await.unwrap();
    assert_eq!(engine::audit::check(&pool).await.unwrap(), []);

    let mut client = connect(&url).await;
    client.batch_execute(WORDS).await.unwrap();
    let found = "SELECT name, examples::text FROM audit_check() WHERE problems > 0";
    // It writes nothing, so a hot standby can run it.
    let reading = client.build_transaction().read_only(true).start().await;
    let reading = reading.unwrap();
    assert!(reading.query(found, &[]).await.unwrap().is_empty());
    reading.rollback().await.unwrap();
    for (name, breaks) in BREAKS {
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute(breaks).await.expect(breaks);
        let rows = transaction.query(found, &[]).await.expect(breaks);
        let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        let examples: Vec<&str> = rows.iter().map(|row| row.get(1)).collect();
        assert_eq!(names, [*name], "{breaks}: {examples:?}");
        transaction.rollback().await.unwrap();
    }

    let tried: BTreeSet<&str> = BREAKS.iter().map(|(name, _)| *name).collect();
    let rules = engine::audit::rules(&pool, None, 1).await.unwrap().unwrap();
    let all: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(tried, all, "each rule has something here that breaks it");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_runs_that_were_open_at_a_moment_or_later_are_checked_if_so_told() {
    let url = busy().await;
    let pool = engine::audit::connect(&url).await.unwrap();
    execute(
        &url,
        "UPDATE execution SET status = 3 WHERE workflow_id = 'steps';
         UPDATE open_run SET due_at = NULL WHERE parked",
    )
    .await;
    let broken = async |since| -> Vec<(String, u64)> {
        let rules = engine::audit::rules(&pool, Some(since), 10).await.unwrap();
        let broken = |rule: engine::audit::Rule| (rule.name, rule.problems);
        let rules = rules.expect("a moment");
        rules
            .into_iter()
            .filter(|rule| rule.problems > 0)
            .map(broken)
            .collect()
    };
    let late = ("PARKED_TOO_LATE".to_owned(), 2);
    assert_eq!(
        broken("yesterday").await,
        [("EXECUTION_DISAGREES".to_owned(), 1), late.clone()]
    );
    assert_eq!(broken("tomorrow").await, [late]);
    assert_eq!(
        engine::audit::rules(&pool, Some("no moment"), 10)
            .await
            .unwrap(),
        None
    );
}
