//! Lists of runs, and the partitions of their histories.

use std::time::Duration;

use engine::store::list::{ListFilter, list};
use history::{Status, WorkflowId};

use crate::support::*;

#[tokio::test]
async fn runs_are_listed_newest_first_page_by_page() {
    let pool = database().await;
    for n in 1..=5 {
        let run = Run::new(&format!("order-{}", n % 3), n).commit(&[(0, STARTED)]);
        if n == 4 {
            run.close(&pool, 5, 2).await;
        } else {
            run.open(&pool).await;
        }
    }
    let mut filter = ListFilter {
        page_size: 2,
        ..ListFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = list(&pool, 1, &filter).await.unwrap();
        filter.cursor = page.last().map(|run| run.run_id);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let ids: Vec<&str> = seen.iter().map(|run| run.workflow_id.as_str()).collect();
    assert_eq!(ids, ["order-2", "order-1", "order-0", "order-2", "order-1"]);
    assert_eq!(
        (seen[1].status, seen[1].history_length),
        (Status::Terminated, Some(1))
    );
    assert_eq!(seen[1].closed_at.unwrap().0 - seen[1].started_at.0, 2000);

    let terminated = ListFilter {
        status: Some(Status::Terminated),
        page_size: 10,
        ..ListFilter::default()
    };
    let mut found = list(&pool, 1, &terminated).await.unwrap();
    assert!(found[0].listed_at > seen[1].listed_at);
    found[0].listed_at = seen[1].listed_at;
    assert_eq!(found, [seen[1].clone()]);
    let by_id = ListFilter {
        workflow_id: Some("order-2".to_owned()),
        page_size: 10,
        ..ListFilter::default()
    };
    let runs = list(&pool, 1, &by_id).await.unwrap();
    assert_eq!(runs.len(), 2);
    assert!(
        runs.iter()
            .all(|run| run.workflow_id == WorkflowId::known("order-2"))
    );
    let other_type = ListFilter {
        workflow_type: Some("Ship".to_owned()),
        page_size: 10,
        ..ListFilter::default()
    };
    assert_eq!(list(&pool, 1, &other_type).await.unwrap(), []);
    assert_eq!(list(&pool, 2, &ListFilter::default()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_creates_the_partitions_of_the_weeks_ahead() {
    let pool = database().await;
    let options = pool.connect_options();
    let server = std::env::var("COREASON_TEST_DATABASE_URL").unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("{base}/{}", options.get_database().unwrap());
    let engine = engine::Engine::open(engine::Config::new(url, "http://127.0.0.1:1"))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), engine.owning())
        .await
        .unwrap();
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'history'::regclass";
    assert_eq!(
        lines(&pool, partitions).await,
        "6",
        "five weeks, and the default"
    );
    let now = "lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008000000000000001'";
    execute(
        &pool,
        &format!("INSERT INTO history VALUES (1, ({now})::uuid, 0, 1, 1, '[]', sha256(''))"),
    )
    .await;
    assert_eq!(
        lines(&pool, "SELECT count(*) FROM history_default").await,
        "0"
    );
    engine.close().await;
}
