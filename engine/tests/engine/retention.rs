//! How long closed runs are kept, and what is left when they are deleted.

use std::time::Duration;

use engine::{
    Address, Engine, ListRequest, audit,
    limits::{RETENTION_MAX, RETENTION_MIN},
};

use crate::{feed::run_some, support::*};

async fn listed(engine: &Engine) -> usize {
    let all = ListRequest {
        page_size: 1000,
        ..ListRequest::default()
    };
    engine.list(&namespace(), &all).await.unwrap().runs.len()
}

/// Everything that a run leaves in a table.
const LEFT: &str = "SELECT ((SELECT count(*) FROM execution) + (SELECT count(*) FROM current_run) + (SELECT count(*) FROM history)
    + (SELECT count(*) FROM visibility) + (SELECT count(*) FROM attempt) + (SELECT coalesce(sum(runs), 0) FROM workflow_count))::bigint";

#[tokio::test(flavor = "multi_thread")]
async fn closed_runs_go_when_their_time_is_over_and_open_ones_stay() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    assert_eq!(engine.retention(&namespace()).await.unwrap(), None);
    let short = engine
        .set_retention(&namespace(), Some(RETENTION_MIN / 2))
        .await;
    assert_eq!(short.unwrap_err().code(), "INVALID_ARGUMENT");
    let ages = engine
        .set_retention(&namespace(), Some(2 * RETENTION_MAX))
        .await;
    assert_eq!(ages.unwrap_err().code(), "INVALID_ARGUMENT");
    run_some(&engine, "old", 30).await;
    engine
        .start_workflow(&namespace(), {
            let mut nobodys = start("wait", "open");
            nobodys.task_queue = history::TaskQueue::known("nobody");
            nobodys
        })
        .await
        .unwrap();
    assert_eq!(listed(&engine).await, 31);
    execute(
        &url,
        "UPDATE visibility SET closed_at = closed_at - interval '1 hour' WHERE closed_at < 'infinity'",
    )
    .await;
    run_some(&engine, "young", 5).await;
    let hour = Some(Duration::from_secs(3500));
    engine.set_retention(&namespace(), hour).await.unwrap();
    assert_eq!(engine.retention(&namespace()).await.unwrap(), hour);

    until(&url, "(SELECT coalesce(sum(runs), 0) = 30 FROM tombstone)").await;
    assert_eq!(listed(&engine).await, 6);
    assert_eq!(engine.count(&namespace(), "").await.unwrap(), 6);
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 6);
    let gone = engine.describe(&address("old-3")).await.unwrap_err();
    assert_eq!(gone.code(), "WORKFLOW_NOT_FOUND");
    // The audit finds nothing wrong, and the id is free.
    let problems = "SELECT count(*) FROM audit_problems()";
    assert_eq!(number(&url, problems).await, 0);
    run_some(&engine, "old", 1).await;
    assert_eq!(number(&url, problems).await, 0);
    // What was the head of a chain is in the hash of what was deleted.
    let events = number(&url, "SELECT sum(events)::bigint FROM tombstone").await;
    assert_eq!(events, 30 * 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_leaves_a_tombstone_and_nothing_else() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(2), echo());
    run_some(&engine, "closed", 1).await;
    let mut nobodys = start("wait", "open");
    nobodys.task_queue = history::TaskQueue::known("nobody");
    engine.start_workflow(&namespace(), nobodys).await.unwrap();
    assert_eq!(listed(&engine).await, 2);
    for id in ["closed-0", "open"] {
        engine.delete_workflow(&address(id)).await.unwrap();
        let again = engine.delete_workflow(&address(id)).await.unwrap_err();
        assert_eq!(again.code(), "WORKFLOW_NOT_FOUND");
    }
    assert_eq!(listed(&engine).await, 0);
    assert_eq!(number(&url, LEFT).await, 0);
    assert_eq!(number(&url, "SELECT count(*) FROM open_run").await, 0);
    let tombstones = "SELECT count(*) FROM tombstone WHERE reason = 2 AND runs = 1 AND workflow_id IN ('closed-0', 'open')";
    assert_eq!(number(&url, tombstones).await, 2);
    // A run of the same id begins as if there had been none.
    run_some(&engine, "closed", 1).await;
    assert_eq!(
        number(&url, "SELECT count(*) FROM audit_problems()").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_somebody_is_about_to_use_is_left_for_the_next_time_and_no_start_is_lost() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "w", 20).await;
    assert_eq!(listed(&engine).await, 20);
    // Somebody is about to use one of the ids.
    let other = connect(&url).await;
    other
        .batch_execute("BEGIN; SELECT FROM current_run WHERE workflow_id = 'w-7' FOR UPDATE")
        .await
        .unwrap();
    let all = "SELECT delete_runs(array_agg(shard), array_agg(run_id), 1::smallint)::bigint FROM execution";
    assert_eq!(number(&url, all).await, 19);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(number(&url, all).await, 1);
    assert_eq!(number(&url, LEFT).await, 0);
    // Beside starts of the same ids nothing is lost.
    let starts = async {
        for _ in 0..10 {
            for n in 0..10 {
                let again = start("sequence", &format!("w-{n}"));
                engine.start_workflow(&namespace(), again).await.unwrap();
            }
            until(&url, "(SELECT count(*) = 0 FROM open_run)").await;
        }
    };
    let closed = format!("{all} WHERE closed_at IS NOT NULL");
    let deletes = async {
        loop {
            number(&url, &closed).await;
        }
    };
    tokio::select! {
        () = starts => {}
        () = deletes => {}
    }
    assert_eq!(
        number(&url, "SELECT count(*) FROM audit_problems()").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_run_is_found_and_deleted_after_the_latest_one_was() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "w", 1).await;
    let first = engine.describe(&address("w-0")).await.unwrap().run_id;
    run_some(&engine, "w", 1).await;
    engine.delete_workflow(&address("w-0")).await.unwrap();
    let earlier = Address {
        run_id: Some(first),
        ..address("w-0")
    };
    assert_eq!(engine.describe(&earlier).await.unwrap().run_id, first);
    assert_eq!(
        engine.describe(&address("w-0")).await.unwrap_err().code(),
        "WORKFLOW_NOT_FOUND"
    );
    // Two ask for it at once: it is gone for both.
    let both = tokio::join!(
        engine.delete_workflow(&earlier),
        engine.delete_workflow(&earlier)
    );
    for deleted in [both.0, both.1] {
        if let Err(error) = deleted {
            assert_eq!(error.code(), "WORKFLOW_NOT_FOUND");
        }
    }
    assert_eq!(number(&url, LEFT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_go_keeps_nothing_behind_it_and_a_step_has_so_many_bytes() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "w", 5).await;
    assert_eq!(listed(&engine).await, 5);
    let first = "SELECT shard, run_id FROM execution ORDER BY closed_at, run_id LIMIT 1";
    execute(&url, &format!("INSERT INTO outbox (shard, run_id) {first}")).await;
    // Not by the engine, which would take all of them.
    let expire = "BEGIN; UPDATE namespace SET retention = '1 microsecond';";
    let left = async |step: &str, left: i64| {
        execute(
            &url,
            &format!("{expire} SELECT {step}; UPDATE namespace SET retention = NULL; COMMIT"),
        )
        .await;
        assert_eq!(
            number(&url, "SELECT count(*) FROM execution").await,
            left,
            "{step}"
        );
    };
    left("expire_runs(1::smallint, clock_timestamp(), 1, 1000000)", 4).await;
    left("expire_runs(1::smallint, clock_timestamp(), 200, 1)", 3).await;
    left(
        "expire_runs(1::smallint, clock_timestamp(), 200, 1000000)",
        1,
    )
    .await;
    execute(&url, "DELETE FROM outbox").await;
    left(
        "expire_runs(1::smallint, clock_timestamp(), 200, 1000000)",
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deletion_does_not_excuse_what_is_missing_later() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "old", 1).await;
    engine.delete_workflow(&address("old-0")).await.unwrap();
    run_some(&engine, "new", 1).await;
    let problems = "SELECT count(*) FROM audit_problems() WHERE name = 'CURRENT_RUN_WRONG'";
    assert_eq!(number(&url, problems).await, 0);
    execute(&url, "DELETE FROM current_run WHERE workflow_id = 'new-0'").await;
    assert_eq!(number(&url, problems).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_while_the_audit_reads_it_is_no_finding() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1500), echo());
    // Each has more rows than a page of the audit's.
    run_some(&engine, "w", 6).await;
    let pool = audit::connect(&url).await.unwrap();
    let deletes = async {
        for n in 0..6 {
            let run = address(&format!("w-{n}"));
            engine.delete_workflow(&run).await.unwrap();
        }
    };
    let verifies = async {
        loop {
            let report = audit::verify(&pool, audit::Scope::Everything)
                .await
                .unwrap();
            assert!(report.is_sound(), "{:?}", report.findings);
        }
    };
    tokio::select! {
        () = deletes => {}
        () = verifies => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_namespace_keeps_declares_and_counts_is_nothing_to_another() {
    let url = database().await;
    let engine = owner(&url).await;
    execute(&url, "INSERT INTO namespace (name) VALUES ('other')").await;
    let other = history::Namespace::known("other");
    work(&engine, sequence(1), echo());
    run_some(&engine, "here", 3).await;
    // Its workers are nobody's here: it is ended by hand.
    let there = Address {
        namespace: other.clone(),
        ..address("there")
    };
    // Has it look for namespaces that another process has made.
    assert!(engine.search_attributes(&other).await.unwrap().is_empty());
    engine
        .start_workflow(&other, start("wait", "there"))
        .await
        .unwrap();
    engine
        .declare_search_attribute(&other, "Region", history::SearchAttributeType::Keyword)
        .await
        .unwrap();
    let here = engine.search_attributes(&namespace()).await.unwrap();
    assert!(here.is_empty(), "{here:?}");
    assert_eq!(engine.count(&namespace(), "").await.unwrap(), 3);
    assert_eq!(engine.count(&other, "").await.unwrap(), 1);
    let unknown = engine
        .count(&namespace(), "Region = 'eu'")
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), "INVALID_QUERY");
    assert_eq!(engine.count(&other, "Region IS NULL").await.unwrap(), 1);
    execute(
        &url,
        "UPDATE visibility SET closed_at = closed_at - interval '1 hour' WHERE closed_at < 'infinity'",
    )
    .await;
    let kept = Some(Duration::from_mins(10));
    engine.set_retention(&other, kept).await.unwrap();
    assert_eq!(engine.retention(&namespace()).await.unwrap(), None);
    engine.delete_workflow(&there).await.unwrap();
    assert_eq!(engine.count(&other, "").await.unwrap(), 0);
    assert_eq!(engine.count(&namespace(), "").await.unwrap(), 3);
    engine.set_retention(&namespace(), kept).await.unwrap();
    until(&url, "NOT EXISTS (SELECT FROM execution)").await;
    let tombstones = "SELECT count(*) FROM tombstone t JOIN namespace n ON n.id = t.namespace WHERE (n.name, t.reason) IN (('default', 1), ('other', 2))";
    assert_eq!(
        number(&url, tombstones).await,
        number(&url, "SELECT count(*) FROM tombstone").await
    );
}
