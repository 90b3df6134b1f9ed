//! The queries of docs/audit.md run, and each of the ten questions has an answer.

use sqlx::Executor as _;

use crate::{support::*, views::shop};

const PAGE: &str = include_str!("../../../docs/audit.md");

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
    let queries = queries();
    assert_eq!(
        queries.len(),
        13,
        "ten questions, one of them twice, one about rows that can't be read, and the check of what must always hold"
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
