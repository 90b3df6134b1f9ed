//! The views show what the histories say.

use sqlx::PgPool;

use crate::support::*;

/// Stores a day of a small shop: an order with a retried payment, a timer, a child and a signal; the child; and an order
/// that was terminated while its payment ran.
pub(crate) async fn shop(pool: &PgPool) {
    let order = Run::new("order-17", 1);
    let child = Run::new("parcel-17", 2).of(&order);
    let child_run = format!(r#"{{"workflow_id":"parcel-17","run_id":"{}"}}"#, child.id);
    order
        .commit(&[
            (0, STARTED),
            (0, TASK_SCHEDULED),
            (1, TASK_STARTED),
            (2, TASK_COMPLETED),
            (2, r#"{"ActivityTaskScheduled":{"activity_id":"pay","activity_type":"Pay","task_queue":"payments","input":[{"$p":17}],"workflow_task_completed_event_id":4}}"#),
            (2, r#"{"TimerStarted":{"timer_id":"deadline","start_to_fire_timeout":60000,"workflow_task_completed_event_id":4}}"#),
            (2, r#"{"StartChildWorkflowExecutionInitiated":{"namespace":"default","workflow_id":"parcel-17","workflow_type":"Parcel","task_queue":"orders","workflow_task_completed_event_id":4}}"#),
        ])
        .commit(&[(800, &format!(r#"{{"ChildWorkflowExecutionStarted":{{"namespace":"default","initiated_event_id":7,"workflow_execution":{child_run},"workflow_type":"Parcel"}}}}"#))])
        .commit(&[(900, r#"{"WorkflowExecutionSignaled":{"signal_name":"approve","input":[{"$p":true}],"identity":"mara@desk"}}"#)])
        .commit(&[
            (1750, &format!(r#"{{"ActivityTaskStarted":{{"scheduled_event_id":5,"attempt":2,"identity":"worker-2","started_at":{},
                "last_failure":{{"message":"declined","info":{{"Application":{{"type":"CardDeclined"}}}}}}}}}}"#, START + 1_710_000)),
            (1750, r#"{"ActivityTaskCompleted":{"result":[{"$p":{"receipt":"r-1"}}],"scheduled_event_id":5,"started_event_id":10,"identity":"worker-2"}}"#),
        ])
        .commit(&[(2000, &format!(r#"{{"ChildWorkflowExecutionCompleted":{{"result":[{{"$p":"sent"}}],"namespace":"default","workflow_execution":{child_run},"workflow_type":"Parcel","initiated_event_id":7,"started_event_id":8}}}}"#))])
        .commit(&[
            (2100, r#"{"TimerCanceled":{"timer_id":"deadline","started_event_id":6,"workflow_task_completed_event_id":4}}"#),
            (2100, r#"{"WorkflowExecutionCompleted":{"result":[{"$p":"done"}],"workflow_task_completed_event_id":4}}"#),
        ])
        .close(pool, 2, 2100)
        .await;
    child.commit(&[(500, STARTED), (1900, r#"{"WorkflowExecutionCompleted":{"result":[{"$p":"sent"}],"workflow_task_completed_event_id":1}}"#)]).close(pool, 2, 1900).await;
    Run::new("order-18", 3)
        .commit(&[
            (0, STARTED),
            (3, r#"{"ActivityTaskScheduled":{"activity_id":"pay","activity_type":"Pay","task_queue":"payments","workflow_task_completed_event_id":1}}"#),
        ])
        .commit(&[(600, r#"{"ActivityAttemptStarted":{"scheduled_event_id":2,"attempt":1,"identity":"worker-1"}}"#)])
        .commit(&[(5000, r#"{"WorkflowExecutionTerminated":{"reason":"fraud","identity":"mara@desk"}}"#)])
        .close(pool, 5, 5000)
        .await;
    Run::new("order-19", 4)
        .commit(&[
            (0, STARTED),
            (3, r#"{"ActivityTaskScheduled":{"activity_id":"pay","activity_type":"Pay","task_queue":"payments","workflow_task_completed_event_id":1}}"#),
            (3, r#"{"TimerStarted":{"timer_id":"late","start_to_fire_timeout":1000,"workflow_task_completed_event_id":1}}"#),
        ])
        .commit(&[(600, r#"{"ActivityAttemptStarted":{"scheduled_event_id":2,"attempt":1,"identity":"worker-1"}}"#)])
        .commit(&[(1253, r#"{"TimerFired":{"timer_id":"late","started_event_id":3}}"#)])
        .open(pool)
        .await;
    let failed = format!(
        r#""last_failure":{{"attempt":2,"started_at":{},"ended_at":{},"identity":"worker-1",
            "failure":{{"message":"busy","info":{{"Application":{{"type":"Busy"}}}}}}}}"#,
        START + 1_000_000,
        START + 1_200_000
    );
    Run::new("order-20", 5)
        .commit(&[
            (0, STARTED),
            (3, r#"{"ActivityTaskScheduled":{"activity_id":"ask","activity_type":"Ask","task_queue":"payments","workflow_task_completed_event_id":1}}"#),
            (3, r#"{"ActivityTaskScheduled":{"activity_id":"pay","activity_type":"Pay","task_queue":"payments","workflow_task_completed_event_id":1}}"#),
        ])
        .keep(2, 1200, &format!(r#"{{"ActivityAttempts":{{"scheduled_event_id":2,"attempt":3,"next_attempt_at":{},{failed}}}}}"#, START + 3_000_000))
        .keep(3, 2000, &format!(r#"{{"ActivityAttempts":{{"scheduled_event_id":3,"attempt":3,"started":{{"at":{0},"identity":"worker-2","heartbeat_at":{0}}},
            "heartbeat_details":[{{"$p":17}}],{failed}}}}}"#, START + 1_500_000))
        .keep(0, 2500, &format!(r#"{{"WorkflowTaskAttempts":{{"attempt":9,"next_attempt_at":{},"last_failure":{{"attempt":8,"at":{},
            "cause":{{"Failed":"NonDeterministicError"}},"failure":{{"message":"other code","info":{{"Application":{{"type":"Mistake"}}}}}},"identity":"worker-3"}}}}}}"#,
            START + 62_500_000, START + 2_500_000))
        .open(pool)
        .await;
}

#[tokio::test]
async fn activities_show_their_attempts_times_and_ends() {
    let pool = database().await;
    shop(&pool).await;
    assert_eq!(
        lines(
            &pool,
            "SELECT workflow_id, activity_id, activity_type, task_queue, status, attempts, waited, ran, input, result, last_failure,
                    last_failure_type, worker
             FROM activity ORDER BY workflow_id, scheduled_event_id"
        )
        .await,
        "order-17 | pay | Pay | payments | Completed | 2 | - | 00:00:00.04 | [17] | [{\"receipt\": \"r-1\"}] | declined | CardDeclined | worker-2\n\
         order-18 | pay | Pay | payments | Abandoned | 1 | 00:00:00.597 | - | - | - | - | - | worker-1\n\
         order-19 | pay | Pay | payments | Started | 1 | 00:00:00.597 | - | - | - | - | - | worker-1\n\
         order-20 | ask | Ask | payments | Scheduled | 2 | - | - | - | - | busy | Busy | worker-1\n\
         order-20 | pay | Pay | payments | Started | 3 | - | - | - | - | busy | Busy | worker-2"
    );
    assert_eq!(
        lines(&pool, "SELECT activity_id, next_attempt_at IS NOT NULL AS waits, heartbeat_details FROM activity WHERE workflow_id = 'order-20' ORDER BY 1").await,
        "ask | true | -\npay | false | [17]"
    );
    assert_eq!(
        lines(
            &pool,
            "SELECT workflow_id, attempt, status, ran, worker, failure, next_attempt_at IS NOT NULL AS has_next
             FROM activity_attempt ORDER BY workflow_id, activity_id, attempt"
        )
        .await,
        "order-17 | 1 | Failed | - | - | declined | false\n\
         order-17 | 2 | Completed | 00:00:00.04 | worker-2 | - | false\n\
         order-18 | 1 | Abandoned | - | worker-1 | - | false\n\
         order-19 | 1 | Started | - | worker-1 | - | false\n\
         order-20 | 2 | Failed | 00:00:00.2 | worker-1 | busy | true\n\
         order-20 | 2 | Failed | 00:00:00.2 | worker-1 | busy | false\n\
         order-20 | 3 | Started | - | worker-2 | - | false"
    );
}

#[tokio::test]
async fn workflow_tasks_that_fail_show_why_and_until_when_they_wait() {
    let pool = database().await;
    shop(&pool).await;
    assert_eq!(
        lines(
            &pool,
            "SELECT workflow_id, workflow_type, task_queue, attempt, next_attempt_at - last_failed_at AS waits, last_cause, last_failure, last_worker
             FROM workflow_task_attempt"
        )
        .await,
        "order-20 | Order | orders | 9 | 00:01:00 | NonDeterministicError | other code | worker-3"
    );
}

#[tokio::test]
async fn workflows_show_how_they_ended() {
    let pool = database().await;
    shop(&pool).await;
    assert_eq!(
        lines(
            &pool,
            "SELECT workflow_id, status, duration, history_length, input, started_by, result, terminated_by, terminate_reason,
                    last_event_type, parent_workflow_id
             FROM workflow ORDER BY run_id"
        )
        .await,
        "order-17 | Completed | 00:00:02.1 | 14 | [{\"item\": 17}] | mara@desk | [\"done\"] | - | - | WorkflowExecutionCompleted | -\n\
         parcel-17 | Completed | 00:00:01.9 | 2 | [{\"item\": 17}] | mara@desk | [\"sent\"] | - | - | WorkflowExecutionCompleted | order-17\n\
         order-18 | Terminated | 00:00:05 | 3 | [{\"item\": 17}] | mara@desk | - | mara@desk | fraud | WorkflowExecutionTerminated | -\n\
         order-19 | Running | - | - | [{\"item\": 17}] | mara@desk | - | - | - | TimerFired | -\n\
         order-20 | Running | - | - | [{\"item\": 17}] | mara@desk | - | - | - | ActivityTaskScheduled | -"
    );
}

#[tokio::test]
async fn timers_children_and_requests_are_rows() {
    let pool = database().await;
    shop(&pool).await;
    assert_eq!(
        lines(
            &pool,
            "SELECT workflow_id, timer_id, status, duration, late FROM timer ORDER BY workflow_id"
        )
        .await,
        "order-17 | deadline | Canceled | 00:01:00 | -\norder-19 | late | Fired | 00:00:01 | 00:00:00.25"
    );
    assert_eq!(
        lines(
            &pool,
            "SELECT child_workflow_id, child_run_id = w.run_id AS is_that_run, child_workflow_type, c.status, parent_close_policy,
                    c.closed_at - c.initiated_at AS took, c.result
             FROM child_workflow c JOIN workflow w ON w.workflow_id = c.child_workflow_id"
        )
        .await,
        "parcel-17 | true | Parcel | Completed | Terminate | 00:00:01.998 | [\"sent\"]"
    );
    assert_eq!(
        lines(&pool, "SELECT workflow_id, verb, identity, subject, content FROM request WHERE verb <> 'Start' ORDER BY workflow_id").await,
        "order-17 | Signal | mara@desk | approve | [true]\norder-18 | Terminate | mara@desk | fraud | -"
    );
    assert_eq!(
        lines(&pool, "SELECT workflow_id, signal_name, input FROM signal").await,
        "order-17 | approve | [true]"
    );
}

#[tokio::test]
async fn events_and_notes_show_their_payloads() {
    let pool = database().await;
    shop(&pool).await;
    assert_eq!(
        lines(&pool, "SELECT event_id, event_time AT TIME ZONE 'UTC' AS at, event_type, attributes FROM history_event WHERE workflow_id = 'parcel-17' AND event_id = 2").await,
        "2 | 2026-11-23T06:00:01.9 | WorkflowExecutionCompleted | {\"result\": [\"sent\"], \"workflow_task_completed_event_id\": 1}"
    );
    assert_eq!(
        lines(&pool, "SELECT workflow_id, note_type, attributes -> 'attempt' AS attempt FROM history_note ORDER BY workflow_id").await,
        "order-18 | ActivityAttemptStarted | 1\norder-19 | ActivityAttemptStarted | 1"
    );
}

#[tokio::test]
async fn no_payload_and_no_text_kills_a_view() {
    let pool = database().await;
    Run::new("poison", 1)
        .commit(&[
            (0, STARTED),
            // What history itself would store of the JSON text "\u0000", of bytes, and of a message with U+0000 in it.
            (1, r#"{"WorkflowExecutionSignaled":{"signal_name":"s","input":[{"$b":"Ilx1MDAwMCI=","enc":"json/plain"},{"$b":"AP8=","enc":"binary/plain"}]}}"#),
            (2, r#"{"WorkflowExecutionFailed":{"failure":{"message":"nul \u0000, not nul \\u0000","info":{"Application":{"type":"Odd"}}},"workflow_task_completed_event_id":1}}"#),
        ])
        .close(&pool, 3, 2)
        .await;
    assert_eq!(
        lines(&pool, "SELECT input FROM signal").await,
        r#"[{"base64": "Ilx1MDAwMCI=", "encoding": "json/plain"}, {"base64": "AP8=", "encoding": "binary/plain"}]"#
    );
    assert_eq!(
        lines(&pool, "SELECT failure, failure_type FROM workflow").await,
        "nul \u{fffd}, not nul \\u0000 | Odd"
    );
}

#[tokio::test]
async fn rows_of_any_shape_are_shown_and_fail_no_view() {
    let pool = database().await;
    Run::new("broken", 1)
        .commit(&[(0, STARTED)])
        .open(&pool)
        .await;
    let shapes = [
        "",
        "{",
        "null",
        "17",
        "{}",
        "[null]",
        "[[]]",
        "[17]",
        r#"["e"]"#,
        "[{}]",
        r#"[{"id":"x","t":-1,"e":{}}]"#,
        r#"[{"id":1,"t":1e400,"e":"x"}]"#,
        r#"[{"id":99999999999999999999,"t":99999999999999999999,"e":{"TimerStarted":{"timer_id":1,"start_to_fire_timeout":"x"}}}]"#,
        r#"[{"id":2,"t":1,"e":{"ActivityTaskScheduled":17}}]"#,
        r#"[{"id":2,"t":1,"n":{"ActivityAttemptFailed":[1]}}]"#,
        r#"[{"id":2,"t":1,"n":{"ActivityAttemptFailed":{"scheduled_event_id":{},"failure":17,"started_at":"x"}}}]"#,
        r#"[{"id":2,"t":1,"e":{"WorkflowExecutionFailed":{"failure":{"info":17,"cause":{"cause":17}}}}}]"#,
        r#"[{"id":2,"t":1,"e":{"ChildWorkflowExecutionCompleted":{"initiated_event_id":2,"workflow_execution":{"run_id":"x"}}}}]"#,
        r#"[{"id":2,"t":1,"e":{"WorkflowExecutionSignaled":{"input":{"$b":17,"meta":[]}}}}]"#,
    ];
    let views = lines(&pool, "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace").await;
    for version in [1, 2] {
        for shape in shapes {
            for status in [
                "1, closed_at = NULL, history_length = NULL",
                "3, closed_at = now(), history_length = 2",
            ] {
                execute(&pool, &format!("UPDATE history SET version = {version}, records = $row${shape}$row$; UPDATE execution SET status = {status}")).await;
                for view in views.lines() {
                    lines(&pool, &format!("SELECT * FROM {view}")).await;
                }
            }
        }
    }
}
