//! The queries of docs/audit.md run, and each of the twenty questions has an answer.

use sqlx::Executor as _;

use crate::{support::*, views::shop};

const PAGE: &str = include_str!("../../../docs/audit.md");

/// What is asked for beside what happened: an attribute, a deletion, and a run that is sealed.
const ANSWERED: &str = "
    UPDATE execution SET search_attributes = '{\"Customer\": \"mara\"}' WHERE workflow_id = 'order-17';
    INSERT INTO tombstone (namespace, reason, runs, closed_from, closed_until, events, bytes, runs_hash, hash)
    SELECT 1, 1, 3, now(), now(), 17, 1000, sha256('x'), sha256('x');
    INSERT INTO seal_tile SELECT 0, int8range(0, NULL), ARRAY[shard], ARRAY[run_id], ARRAY[5], ARRAY[sha256('x')] FROM execution WHERE workflow_id = 'order-17';
    INSERT INTO checkpoint SELECT 0, 1, sha256('x'), now(), now(), ''";

fn queries() -> Vec<&'static str> {
    PAGE.split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[tokio::test]
async fn every_query_runs() {
    let pool = database().await;
    shop(&pool).await;
    execute(&pool, ANSWERED).await;
    let queries = queries();
    assert_eq!(
        queries.len(),
        24,
        "twenty questions, two of them twice, one about rows that can't be read, and the check of what must always hold"
    );
    for (n, query) in queries.iter().enumerate() {
        let rows = pool
            .fetch_all(sqlx::AssertSqlSafe(*query))
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        // Nothing is unreadable, and nothing was lost or done twice.
        assert_eq!(rows.is_empty(), n == 0 || n == 11, "{query}");
    }
}

#[tokio::test]
async fn the_last_question_finds_what_was_lost_or_done_twice() {
    let pool = database().await;
    shop(&pool).await;
    let fired = r#"{"TimerFired":{"timer_id":"t","started_event_id":2}}"#;
    let started = r#"{"TimerStarted":{"timer_id":"t","start_to_fire_timeout":1000,"workflow_task_completed_event_id":1}}"#;
    Run::new("twice", 90)
        .commit(&[(0, STARTED), (1, started), (2, fired), (3, fired)])
        .open(&pool)
        .await;
    Run::new("lost", 91)
        .commit(&[(0, STARTED)])
        .commit(&[(1, TASK_SCHEDULED)])
        .commit(&[(2, TASK_STARTED)])
        .open(&pool)
        .await;
    execute(&pool, "DELETE FROM history h USING execution e WHERE e.run_id = h.run_id AND e.workflow_id = 'lost' AND h.seq = 1").await;
    let query = queries()[11].trim_end().trim_end_matches(';');
    assert_eq!(
        lines(
            &pool,
            &format!("SELECT problem FROM ({query}) AS q ORDER BY problem")
        )
        .await,
        "2 events, the last is event 3\nTimer ended 2 times"
    );
}

#[tokio::test]
async fn every_view_and_every_column_says_what_it_means() {
    let pool = database().await;
    let silent = "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                  WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace
                    AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)";
    assert_eq!(lines(&pool, silent).await, "");
}
