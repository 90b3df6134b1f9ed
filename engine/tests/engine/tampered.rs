//! What somebody does who may write to all tables, has our program, and knows how a history gets into the sealed log; and a log that is begun anew.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine::{
    Engine,
    audit::{self, NoProof, Trust},
    seal::{self, Signer},
};
use uuid::Uuid;

use crate::{
    feed::run_some,
    sealed::{
        Folder, OLD_RUNS, compute_chain_anew, copy, found, found_after, make_up_run, pool, run_id,
        sealed, sealing, some_sealed, verified,
    },
    support::*,
};

/// Says of a run in the feed what its head is now, as a batch that was committed does.
const FEED_AGAIN: &str = "
    INSERT INTO feed (epoch, slot, batch, shards, run_ids, seqs, closes, changed, hashes)
    SELECT f.epoch, f.slot, f.batch + 1, ARRAY[h.shard], ARRAY[h.run_id], ARRAY[h.seq], ARRAY[true], ARRAY[true], ARRAY[h.hash]
    FROM (SELECT epoch, slot, batch FROM feed ORDER BY position DESC LIMIT 1) AS f
    CROSS JOIN (SELECT * FROM history WHERE run_id = '$RUN' ORDER BY seq DESC LIMIT 1) AS h";

/// Has the sealed log read all runs anew.
const SEAL_AGAIN: &str = "UPDATE feed_consumer SET epoch = NULL, epochs = '{}', slots = '{}', batches = '{}', mark = 0 WHERE name = 'seal'";

/// Writes something else into a row of a run, and computes its chain anew.
async fn rewrite(url: &str, run: Uuid) {
    let rewrite = format!(
        "UPDATE history SET records = replace(records, '\"$p\":', '\"$p\": ') WHERE run_id = '{run}'"
    );
    execute(url, &rewrite).await;
    compute_chain_anew(url, run).await;
}

/// Has the log read all runs anew, and waits until a run is sealed once more.
async fn seal_again(url: &str, key: &Path, run: Uuid) -> Engine {
    let entries = format!(
        "SELECT count(*) FROM seal_tile t CROSS JOIN unnest(t.ids) AS u (id) WHERE u.id = '{run}'"
    );
    let before = number(url, &entries).await;
    execute(url, SEAL_AGAIN).await;
    let (engine, _) = sealing(url, key).await;
    until(url, &format!("({entries}) > {before}")).await;
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_behind_the_end_of_a_closed_run_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    // It says that it was made now, and is the next event.
    let append = "
        INSERT INTO history (shard, run_id, seq, first_event_id, version, records, hash)
        SELECT shard, run_id, seq + 1, e.history_length + 1, version,
               format('[{\"id\":%s,\"t\":%s,\"e\":{\"WorkflowExecutionCancelRequested\":{}}}]', e.history_length + 1,
                      (extract(epoch FROM now()) * 1000000)::bigint), hash
        FROM history JOIN execution e USING (shard, run_id)
        WHERE run_id = '$RUN' ORDER BY seq DESC LIMIT 1;
        UPDATE execution SET history_length = history_length + 1 WHERE run_id = '$RUN'";
    let copy = copy(&url).await;
    let run = run_id(&copy, "then-1").await;
    execute(&copy, &append.replace("$RUN", &run.to_string())).await;
    compute_chain_anew(&copy, run).await;
    let of_stranger = found(&copy, &trust, &folder).await;
    assert_eq!(of_stranger.len(), 1, "{of_stranger:?}");
    assert!(
        of_stranger[0].starts_with("ROW_INSERTED"),
        "{of_stranger:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_run_that_is_sealed_once_more_is_found_and_not_proved() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let run = run_id(&url, "then-1").await;
    rewrite(&url, run).await;
    let engine = seal_again(&url, &folder.path("key"), run).await;
    engine.close().await;

    let found = found(&url, &trust, &folder).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ROW_CHANGED"), "{found:?}");
    let db = pool(&url).await;
    let of_run = history::WorkflowId::known("then-1");
    let proof = audit::prove(&db, &namespace(), &of_run, None).await;
    assert!(matches!(proof, Err(NoProof::NotProved(_))), "{proof:?}");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_rewritten_and_then_deleted_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let run = run_id(&url, "then-1").await;
    rewrite(&url, run).await;
    let (engine, _) = sealing(&url, &folder.path("key")).await;
    engine.delete_workflow(&address("then-1")).await.unwrap();
    sealed(&url).await;
    engine.close().await;

    assert_eq!(found(&url, &trust, &folder).await, ["TOMBSTONE_BROKEN"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_more_rows_that_is_sealed_once_more_and_then_deleted_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let run = run_id(&url, "then-1").await;
    // What it was is nowhere any more but in the log.
    execute(
        &url,
        &format!(
            "INSERT INTO history SELECT shard, run_id, seq + 1, first_event_id, version, records, hash FROM history
             WHERE run_id = '{run}' ORDER BY seq DESC LIMIT 1;
             UPDATE history SET records = '[]' WHERE run_id = '{run}' AND seq = 1"
        ),
    )
    .await;
    compute_chain_anew(&url, run).await;
    let engine = seal_again(&url, &folder.path("key"), run).await;
    let deleted = "SELECT delete_runs(array_agg(shard), array_agg(run_id), 2::smallint)::bigint FROM execution WHERE workflow_id = 'then-1'";
    assert_eq!(number(&url, deleted).await, 1);
    sealed(&url).await;
    engine.close().await;

    let found = found(&url, &trust, &folder).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ROW_CHANGED"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_can_have_nothing_sealed_but_rows_of_history() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let run = run_id(&url, "then-1").await;
    // The numbers of a deletion, of tiles that were deleted, and of none.
    for (batch, number) in [(1, "-1"), (2, "-2"), (3, "-7")] {
        let forged = FEED_AGAIN
            .replace("f.batch + 1", &format!("f.batch + {batch}"))
            .replace("ARRAY[h.seq]", &format!("ARRAY[{number}]"));
        execute(&url, &forged.replace("$RUN", &run.to_string())).await;
    }
    let entries = format!(
        "SELECT count(*) FROM seal_tile t CROSS JOIN unnest(t.ids) AS u (id) WHERE u.id = '{run}'"
    );
    let before = number(&url, &entries).await;
    let (engine, _) = sealing(&url, &folder.path("key")).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "later", 1).await;
    sealed(&url).await;
    engine.close().await;

    assert_eq!(number(&url, &entries).await, before);
    assert_eq!(found(&url, &trust, &folder).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_of_runs_that_are_not_deleted_are_kept_whatever_the_server_says() {
    let folder = Folder::new();
    let url = database().await;
    // Makes the tables.
    owner(&url).await.close().await;
    execute(&url, OLD_RUNS).await;
    let (engine, public) = sealing(&url, &folder.path("key")).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "w", 1).await;
    sealed(&url).await;
    // What looks for them names all, and those that nothing is known of are deleted by hand.
    execute(
        &url,
        "CREATE OR REPLACE FUNCTION prunable_tiles(before_tile bigint, looked_at integer, fewest integer, OUT gone bigint[]) LANGUAGE sql AS
             'SELECT array_agg(n) FROM seal_tile WHERE n < before_tile';
         DELETE FROM history WHERE run_id IN (SELECT unnest(ids) FROM seal_tile WHERE n = 0);
         DELETE FROM current_run WHERE run_id IN (SELECT unnest(ids) FROM seal_tile WHERE n = 0);
         DELETE FROM execution WHERE run_id IN (SELECT unnest(ids) FROM seal_tile WHERE n = 0)",
    )
    .await;
    let tiles = "SELECT count(*) FROM seal_tile";
    let before = number(&url, tiles).await;
    engine.delete_workflow(&address("w-0")).await.unwrap();
    sealed(&url).await;
    engine.close().await;

    drop(engine);
    assert_eq!(number(&url, tiles).await, before);
    assert_eq!(number(&url, "SELECT count(*) FROM seal_pruned").await, 0);
    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    let of_tile = found(&url, &trust, &folder).await;
    let of_tile = of_tile.iter().filter(|it| *it == "ROW_REMOVED 0");
    assert_eq!(of_tile.count(), 256);
    // Nor does a live database excuse what nobody has sealed.
    let excuse = "DELETE FROM seal_tile WHERE n = 0; INSERT INTO seal_pruned (tiles, leaf) VALUES ('{0}', 1000000000000)";
    let found = found_after(&url, &trust, &folder, excuse).await;
    assert!(found.iter().any(|it| it == "SEAL_BROKEN"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_says_of_other_runs_than_it_names_or_of_another_time_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let lie = |at: &str, runs: i32, named: &str| {
        format!(
            "INSERT INTO tombstone (namespace, at, reason, runs, closed_from, closed_until, events, bytes, run_id, workflow_id, run_ids, runs_hash, hash, span)
             SELECT 1, {at}, 2, {runs}, now(), now(), 11, 1, {named}, array_agg(x.run_id), sha256(string_agg(uuid_send(x.run_id), '')),
                    sha256(string_agg(uuid_send(x.run_id) || x.hash, '')), int8range(min(run_milliseconds(x.run_id)), max(run_milliseconds(x.run_id)), '[]')
             FROM (SELECT e.run_id, (SELECT h.hash FROM history h WHERE h.run_id = e.run_id ORDER BY h.seq DESC LIMIT 1) AS hash
                   FROM execution e WHERE e.workflow_id IN ('then-1', 'then-2') ORDER BY e.run_id) AS x;
             DELETE FROM history WHERE run_id IN (SELECT run_id FROM execution WHERE workflow_id IN ('then-1', 'then-2'));
             DELETE FROM visibility WHERE workflow_id IN ('then-1', 'then-2');
             DELETE FROM current_run WHERE workflow_id IN ('then-1', 'then-2');
             DELETE FROM execution WHERE workflow_id IN ('then-1', 'then-2')"
        )
    };
    let one = "(array_agg(x.run_id))[1], 'then-1'";
    for (lie, expected) in [
        (lie("now()", 2, "NULL::uuid, NULL::text"), &[][..]),
        (lie("now()", 1, one), &["TOMBSTONE_BROKEN", "ROW_REMOVED"]),
        (
            lie("'2025-01-01'", 2, "NULL::uuid, NULL::text"),
            &["TOMBSTONE_BROKEN"],
        ),
    ] {
        let copy = copy(&url).await;
        execute(&copy, &lie).await;
        for name in ["key", "key.checkpoint"] {
            fs::copy(folder.path(name), folder.path(&name.replace("key", "own"))).unwrap();
        }
        let (engine, _) = sealing(&copy, &folder.path("own")).await;
        sealed(&copy).await;
        engine.close().await;
        let found = found(&copy, &trust, &folder).await;
        let mut codes: Vec<&str> = found.iter().filter_map(|it| it.split(' ').next()).collect();
        codes.dedup();
        assert_eq!(codes, expected, "{lie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_followed_can_not_come_back() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let (old, new) = (
        Signer::open(&folder.path("key")).unwrap(),
        Signer::open(&folder.path("new")).unwrap(),
    );
    let db = pool(&url).await;
    seal::rotate(&db, Some(&old), &new).await.unwrap().unwrap();
    assert_eq!(found(&url, &trust, &folder).await, Vec::<String>::new());
    // Who has stolen it says that the new one is lost.
    let stolen = folder.path("stolen");
    fs::copy(folder.path("key"), &stolen).unwrap();
    let stolen = Signer::open_known(&stolen).unwrap();
    let refused = seal::rotate(&db, None, &stolen).await.unwrap();
    assert_eq!(refused, Err(seal::Refusal::Followed));
    assert_eq!(
        seal::begin(&db, &stolen).await.unwrap(),
        Err(seal::Refusal::Followed)
    );
    db.close().await;
    assert_eq!(found(&url, &trust, &folder).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_put_in_the_place_of_ours_is_known_to_all_processes() {
    let folder = Folder::new();
    let (url, _) = some_sealed(&folder).await;
    for damage in [
        "UPDATE checkpoint SET note = regexp_replace(note, '(— \\S+ )...', '\\1AAA')",
        "UPDATE seal SET log = gen_random_uuid()",
    ] {
        let copy = copy(&url).await;
        execute(&copy, damage).await;
        let (engine, _) = sealing(&copy, &folder.path("key")).await;
        until(
            &copy,
            "(SELECT seal_refused_until > clock_timestamp() FROM cluster)",
        )
        .await;
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_made_to_read_all_anew_says_so_and_hides_nothing_in_that() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let sealed_once = verified(&url, &trust, &folder).await.sealed.unwrap();
    assert_eq!((sealed_once.gaps, sealed_once.clock_set_back), (0, 0));
    execute(&url, SEAL_AGAIN).await;
    let entries = "(SELECT max(size) FROM checkpoint)";
    let before = number(&url, &format!("SELECT {entries}")).await;
    let (engine, _) = sealing(&url, &folder.path("key")).await;
    until(&url, &format!("{entries} > {before}")).await;
    engine.close().await;

    let report = verified(&url, &trust, &folder).await;
    assert!(report.is_sound(), "{:?}", report.findings);
    assert!(report.sealed.unwrap().gaps > 0);

    // What is made up is found all the same, sealed as it is.
    make_up_run(&url).await;
    execute(&url, SEAL_AGAIN).await;
    let (engine, _) = sealing(&url, &folder.path("key")).await;
    sealed(&url).await;
    engine.close().await;
    let found = found(&url, &trust, &folder).await;
    let is_put_in = |it: &String| it.starts_with("ROW_INSERTED");
    assert!(
        !found.is_empty() && found.iter().all(is_put_in),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_hidden_from_a_role_are_not_absent_to_it() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let role = format!("hidden_{}", Uuid::new_v4().simple());
    execute(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'x' IN ROLE coreason_auditor;
             ALTER TABLE history ENABLE ROW LEVEL SECURITY;
             CREATE POLICY most ON history TO coreason_auditor USING (seq <> 1)"
        ),
    )
    .await;
    let (_, place) = url.split_once('@').unwrap();
    let db = pool(&format!("postgres://{role}:x@{place}")).await;
    let refused = audit::verify_sealed(&db, &trust).await.unwrap_err();
    assert_eq!(refused.code(), "DATABASE_REFUSED", "{refused}");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_beside_sealing_and_deletion_accuses_nobody() {
    let folder = Folder::new();
    let url = database().await;
    let (engine, public) = sealing(&url, &folder.path("key")).await;
    work(&engine, sequence(2), echo());
    run_some(&engine, "first", 3).await;
    sealed(&url).await;
    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    let is_done = AtomicBool::new(false);
    let busy = async {
        for n in 0..30 {
            let name = format!("w{n}");
            run_some(&engine, &name, 3).await;
            for run in ["0", "2"] {
                let deleted = address(&format!("{name}-{run}"));
                engine.delete_workflow(&deleted).await.unwrap();
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let audits = async {
        let db = pool(&url).await;
        let mut audits = 0;
        while !is_done.load(Ordering::Relaxed) || audits < 3 {
            let report = audit::verify_sealed(&db, &trust).await.unwrap();
            assert!(report.is_sound(), "{:?}", report.findings);
            audits += 1;
        }
        db.close().await;
    };
    tokio::join!(busy, audits);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_are_given_to_another_namespace_are_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let renamed = "UPDATE namespace SET name = 'other' WHERE name = 'default'";
    let found = found_after(&url, &trust, &folder, renamed).await;
    let rows = number(&url, "SELECT count(*) FROM history").await;
    assert_eq!(i64::try_from(found.len()), Ok(rows), "{found:?}");
    assert!(
        found.iter().all(|it| it.starts_with("ROW_CHANGED")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_signed_anew_with_a_stolen_key_is_found_by_who_has_kept_a_checkpoint() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let db = pool(&url).await;
    let kept = audit::checkpoint(&db, None).await.unwrap();
    db.close().await;
    // The thief has the key, and nothing of what it has signed.
    fs::copy(folder.path("key"), folder.path("stolen")).unwrap();
    let run = run_id(&url, "then-1").await;
    rewrite(&url, run).await;
    execute(
        &url,
        "DELETE FROM checkpoint; DELETE FROM seal_tile; DELETE FROM seal_node; UPDATE tombstone SET leaf = NULL;
         DELETE FROM feed_consumer WHERE name = 'seal'",
    )
    .await;
    let (engine, _) = sealing(&url, &folder.path("stolen")).await;
    sealed(&url).await;
    engine.close().await;

    assert_eq!(found(&url, &trust, &folder).await, Vec::<String>::new());
    let with_kept = Trust {
        checkpoint: Some(kept),
        ..trust
    };
    assert_eq!(
        found(&url, &with_kept, &folder).await,
        ["CHECKPOINT_BROKEN"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_begun_in_the_place_of_one_that_was_damaged_and_says_so() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let db = pool(&url).await;
    let kept = audit::checkpoint(&db, None).await.unwrap();
    db.close().await;
    for damage in [
        "DELETE FROM seal_tile",
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET note = 'x'",
        "DELETE FROM seal; DELETE FROM checkpoint; DELETE FROM seal_tile; DELETE FROM seal_node",
        "SELECT",
    ] {
        let copy = copy(&url).await;
        let log = uuid(&copy, "SELECT log FROM seal").await;
        execute(&copy, damage).await;
        // Each has a key with what it has signed of its own.
        for name in ["key", "key.checkpoint"] {
            fs::copy(folder.path(name), folder.path(&name.replace("key", "own"))).unwrap();
        }
        // One that runs all the time has nothing to be started again for.
        let (engine, _) = sealing(&copy, &folder.path("own")).await;
        let db = pool(&copy).await;
        let operator = Signer::open_known(&folder.path("own")).unwrap();
        seal::begin(&db, &operator).await.unwrap().unwrap();
        db.close().await;
        sealed(&copy).await;
        until(
            &copy,
            "EXISTS (SELECT FROM checkpoint WHERE complete_until IS NOT NULL)",
        )
        .await;
        engine.close().await;

        let report = verified(&copy, &trust, &folder).await;
        assert!(report.is_sound(), "{damage}: {:?}", report.findings);
        let replaces = report.sealed.unwrap().replaces;
        assert_eq!(replaces.unwrap().0, log, "{damage}");
        let with_kept = Trust {
            checkpoint: Some(kept.clone()),
            ..trust.clone()
        };
        let report = verified(&copy, &with_kept, &folder).await;
        let sentences: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 1, "{damage}: {sentences:?}");
        assert!(
            sentences[0].contains("in whose place this one was begun"),
            "{damage}: {sentences:?}"
        );
        // What changes from then on is found again.
        rewrite(&copy, run_id(&copy, "then-2").await).await;
        let found = found(&copy, &trust, &folder).await;
        assert!(found[0].starts_with("ROW_CHANGED"), "{damage}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_a_stranger_has_begun_is_not_followed() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let stranger = Signer::open(&folder.path("stranger")).unwrap();
    let db = pool(&url).await;
    seal::begin(&db, &stranger).await.unwrap().unwrap();
    db.close().await;
    let signer = Arc::new(Signer::open(&folder.path("key")).unwrap());
    let engine = owner_with(engine::Config {
        signer: Some(signer),
        seal_every: std::time::Duration::from_millis(20),
        ..engine::Config::new(&url, "http://127.0.0.1:1")
    })
    .await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "later", 2).await;
    let turns = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let before = number(&url, turns).await;
    until(&url, &format!("({turns}) > {before} + 20")).await;
    engine.close().await;

    assert_eq!(number(&url, "SELECT count(*) FROM checkpoint").await, 1);
    assert_eq!(found(&url, &trust, &folder).await, ["CHECKPOINT_BROKEN"]);
}

async fn uuid(url: &str, query: &str) -> Uuid {
    connect(url)
        .await
        .query_one(query, &[])
        .await
        .unwrap()
        .get(0)
}
