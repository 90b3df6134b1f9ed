//! What is done to stored rows is found and named.

use engine::audit::{Problem, Report, Scope, verify};
use sqlx::PgPool;

use crate::support::*;

/// Stores a run of six rows with one event each, open, and returns it.
async fn six_rows(pool: &PgPool) -> Run {
    let mut run = Run::new("order-17", 1).commit(&[(0, STARTED)]);
    for n in 1..6 {
        let signal = format!(
            r#"{{"WorkflowExecutionSignaled":{{"signal_name":"s{n}","input":[{{"$p":{n}}}]}}}}"#
        );
        run = run.commit(&[(n, &signal)]);
    }
    run.open(pool).await;
    run
}

async fn everything(pool: &PgPool) -> Report {
    verify(pool, Scope::Everything)
        .await
        .expect("the database answers")
}

/// Returns what was found and in which rows.
async fn found(pool: &PgPool) -> Vec<(Problem, Option<i32>)> {
    everything(pool)
        .await
        .findings
        .into_iter()
        .map(|finding| (finding.problem, finding.seq))
        .collect()
}

#[tokio::test]
async fn an_untouched_database_is_sound() {
    let pool = database().await;
    let run = six_rows(&pool).await;
    let report = everything(&pool).await;
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.runs, report.rows, report.events), (1, 6, 6));
    assert_eq!(verify(&pool, Scope::Run(run.id)).await.unwrap(), report);
}

#[tokio::test]
async fn a_changed_row_is_found() {
    let pool = database().await;
    let run = six_rows(&pool).await;
    execute(
        &pool,
        "UPDATE history SET records = replace(records, 's3', 'S3') WHERE seq = 3",
    )
    .await;
    assert_eq!(found(&pool).await, [(Problem::Changed, Some(3))]);
    let report = verify(&pool, Scope::Run(run.id)).await.unwrap();
    assert_eq!(
        report.findings[0].to_string(),
        format!(
            "ROW_CHANGED shard {} run {} row 3: the row, or the one before it, is not what was committed",
            run.shard, run.id
        )
    );
}

#[tokio::test]
async fn a_changed_time_or_hash_or_payload_is_found() {
    for change in [
        r#"records = replace(records, '"t":', '"t":1')"#,
        "hash = sha256(hash)",
        r#"records = replace(records, '{"$p":3}', '{"$p":4}')"#,
        "version = 2",
    ] {
        let pool = database().await;
        six_rows(&pool).await;
        execute(&pool, &format!("UPDATE history SET {change} WHERE seq = 3")).await;
        let found = found(&pool).await;
        assert!(
            found.contains(&(Problem::Changed, Some(3)))
                || found.contains(&(Problem::Changed, Some(4))),
            "{change}: {found:?}"
        );
    }
}

#[tokio::test]
async fn an_erased_payload_is_no_finding() {
    let pool = database().await;
    six_rows(&pool).await;
    let erase = r#"UPDATE history SET records = replace(records, '{"$p":3}', '{"$x":"' || encode(sha256('{"$p":3}'), 'hex') || '"}') WHERE seq = 3"#;
    execute(&pool, erase).await;
    assert!(everything(&pool).await.is_sound());
    let shown = lines(&pool, "SELECT attributes -> 'input' -> 0 ? 'erased' AS erased FROM history_event WHERE event_id = 4").await;
    assert_eq!(shown, "true");
}

#[tokio::test]
async fn a_removed_row_is_found() {
    let pool = database().await;
    six_rows(&pool).await;
    execute(&pool, "DELETE FROM history WHERE seq IN (2, 3)").await;
    assert_eq!(found(&pool).await, [(Problem::Removed, Some(2))]);
}

#[tokio::test]
async fn a_removed_first_row_is_found() {
    let pool = database().await;
    six_rows(&pool).await;
    execute(&pool, "DELETE FROM history WHERE seq = 0").await;
    assert_eq!(found(&pool).await, [(Problem::Removed, Some(0))]);
}

#[tokio::test]
async fn a_removed_row_is_found_when_the_others_are_numbered_anew() {
    let pool = database().await;
    six_rows(&pool).await;
    execute(&pool, "DELETE FROM history WHERE seq = 2").await;
    for seq in 3..6 {
        execute(
            &pool,
            &format!("UPDATE history SET seq = {} WHERE seq = {seq}", seq - 1),
        )
        .await;
    }
    // Once for its event, and once for the row.
    assert_eq!(
        found(&pool).await,
        [(Problem::Removed, Some(2)), (Problem::Removed, Some(2))]
    );
}

#[tokio::test]
async fn an_inserted_row_is_found() {
    let pool = database().await;
    six_rows(&pool).await;
    for seq in (2..6).rev() {
        execute(
            &pool,
            &format!("UPDATE history SET seq = {} WHERE seq = {seq}", seq + 1),
        )
        .await;
    }
    execute(
        &pool,
        "INSERT INTO history SELECT shard, run_id, 2, 3, version, '[]', sha256(hash) FROM history WHERE seq = 1",
    )
    .await;
    assert_eq!(found(&pool).await, [(Problem::Inserted, Some(2))]);
}

#[tokio::test]
async fn swapped_rows_are_found() {
    let pool = database().await;
    six_rows(&pool).await;
    execute(
        &pool,
        "UPDATE history SET seq = -1 WHERE seq = 2; UPDATE history SET seq = 2 WHERE seq = 3; UPDATE history SET seq = 3 WHERE seq = -1",
    )
    .await;
    let report = everything(&pool).await;
    let moved: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.problem == Problem::Reordered)
        .map(|finding| format!("{:?}: {}", finding.seq, finding.sentence))
        .collect();
    assert_eq!(
        moved,
        [
            "Some(2): the row was committed as row 3",
            "Some(3): the row was committed as row 2"
        ]
    );
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.problem != Problem::Changed),
        "{:?}",
        report.findings
    );
}

#[tokio::test]
async fn a_cut_tail_of_a_closed_run_is_found() {
    let pool = database().await;
    let run = Run::new("order-17", 1)
        .commit(&[(0, STARTED)])
        .commit(&[(5, r#"{"WorkflowExecutionTimedOut":{}}"#)]);
    run.close(&pool, 7, 5).await;
    assert!(everything(&pool).await.is_sound());
    execute(&pool, "DELETE FROM history WHERE seq = 1").await;
    assert_eq!(found(&pool).await, [(Problem::Removed, None)]);
}

#[tokio::test]
async fn an_unreadable_row_is_found_and_fails_no_query() {
    let pool = database().await;
    six_rows(&pool).await;
    execute(
        &pool,
        "UPDATE history SET records = left(records, 20) WHERE seq = 3",
    )
    .await;
    assert_eq!(
        found(&pool).await,
        [(Problem::Unreadable, Some(3)), (Problem::Changed, Some(3))]
    );
    assert_eq!(
        lines(
            &pool,
            "SELECT seq, event_id, error IS NOT NULL AS is_error FROM history_event ORDER BY seq"
        )
        .await,
        "0 | 1 | false\n1 | 2 | false\n2 | 3 | false\n3 | - | true\n4 | 5 | false\n5 | 6 | false"
    );
}

#[tokio::test]
async fn a_run_without_its_counterpart_is_found() {
    let pool = database().await;
    six_rows(&pool).await;
    let without_history = Run::new("order-18", 2);
    without_history.open(&pool).await;
    execute(
        &pool,
        "DELETE FROM execution WHERE workflow_id = 'order-17'",
    )
    .await;
    assert_eq!(
        found(&pool).await,
        [
            (Problem::WithoutExecution, None),
            (Problem::WithoutHistory, None)
        ]
    );
    let report = verify(&pool, Scope::Run(without_history.id)).await.unwrap();
    assert_eq!(report.findings[0].problem, Problem::WithoutHistory);
}

#[tokio::test]
async fn runs_do_not_hide_behind_each_other() {
    let pool = database().await;
    for n in 0..40 {
        Run::new(&format!("order-{n}"), n)
            .commit(&[(0, STARTED)])
            .commit(&[(1, TASK_SCHEDULED), (2, TASK_STARTED)])
            .open(&pool)
            .await;
    }
    execute(
        &pool,
        "UPDATE history SET hash = sha256(hash)
         FROM execution e WHERE e.run_id = history.run_id AND e.workflow_id IN ('order-7', 'order-33') AND seq = 1",
    )
    .await;
    let report = everything(&pool).await;
    assert_eq!((report.runs, report.rows, report.events), (40, 80, 120));
    assert_eq!(found(&pool).await, [(Problem::Changed, Some(1)); 2]);
}
