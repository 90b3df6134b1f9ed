//! Sealed histories: what was signed can be proved offline, and what is done to it afterwards is found, whoever did it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine::{
    Archive, Config, Engine, PutError,
    audit::{self, Dump, NoProof, NotProved, Proof, Report, Trust},
    seal::{KeyError, PublicKey, Signer},
};
use futures::{FutureExt as _, future::BoxFuture};
use history::chain::{self, Hash};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{feed::run_some, support::*};

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("coreason-seal-{}", Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens an engine that seals often.
pub(crate) async fn sealing(url: &str, key: &Path) -> (Engine, PublicKey) {
    let signer = Signer::open(key).unwrap();
    let public = signer.public();
    let engine = owner_with(Config {
        signer: Some(Arc::new(signer)),
        seal_every: Duration::from_millis(20),
        ..Config::new(url, "http://127.0.0.1:1")
    })
    .await;
    (engine, public)
}

/// Waits until all that was committed by now is sealed.
pub(crate) async fn sealed(url: &str) {
    until(
        url,
        "NOT EXISTS (
             SELECT FROM (SELECT run_id, max(seq) AS seq FROM history GROUP BY run_id) AS h
             WHERE NOT EXISTS (SELECT FROM seal_tile t CROSS JOIN unnest(t.ids, t.seqs) AS u (id, seq) WHERE u.id = h.run_id AND sealed_row(u.seq) = h.seq))
         AND NOT EXISTS (SELECT FROM tombstone WHERE leaf IS NULL)",
    )
    .await;
}

/// Runs some workflows, seals them, and stops.
pub(crate) async fn some_sealed(folder: &Folder) -> (String, Trust) {
    let url = database().await;
    let (engine, public) = sealing(&url, &folder.path("key")).await;
    work(&engine, sequence(2), echo());
    run_some(&engine, "first", 5).await;
    sealed(&url).await;
    run_some(&engine, "then", 5).await;
    engine.delete_workflow(&address("first-0")).await.unwrap();
    sealed(&url).await;
    until(
        &url,
        "NOT EXISTS (SELECT FROM tombstone WHERE leaf IS NULL)",
    )
    .await;
    engine.close().await;
    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    (url, trust)
}

pub(crate) async fn pool(url: &str) -> PgPool {
    audit::connect(url).await.unwrap()
}

/// Verifies a database, and a dump of it, which must say the same.
pub(crate) async fn verified(url: &str, trust: &Trust, folder: &Folder) -> Report {
    let pool = pool(url).await;
    let report = audit::verify_sealed(&pool, trust).await.unwrap();
    let path = folder.path(&format!("{}.sql", Uuid::new_v4()));
    audit::dump(&pool, &path).await.unwrap();
    let dump = Dump::open(&path).unwrap();
    assert_eq!(audit::verify_dump(&dump, trust).await.unwrap(), report);
    pool.close().await;
    report
}

/// Copies a database, tampers with the copy, and returns what is found.
pub(crate) async fn found_after(
    url: &str,
    trust: &Trust,
    folder: &Folder,
    tamper: &str,
) -> Vec<String> {
    let copy = copy(url).await;
    execute(&copy, tamper).await;
    found(&copy, trust, folder).await
}

pub(crate) async fn found(url: &str, trust: &Trust, folder: &Folder) -> Vec<String> {
    let report = verified(url, trust, folder).await;
    let codes = report.findings.iter().map(|finding| {
        let seq = finding.seq.map(|seq| format!(" {seq}"));
        format!("{}{}", finding.problem.code(), seq.unwrap_or_default())
    });
    codes.collect()
}

/// Says whether a finding is that rows are not those that were sealed, or are gone.
fn is_of_rows(finding: &str) -> bool {
    finding.starts_with("ROW_CHANGED") || finding.starts_with("ROW_REMOVED")
}

pub(crate) async fn copy(url: &str) -> String {
    let (base, name) = url.rsplit_once('/').unwrap();
    let copy = format!("copy_{}", Uuid::new_v4().simple());
    execute(
        &format!("{base}/postgres"),
        &format!("CREATE DATABASE {copy} TEMPLATE {name}"),
    )
    .await;
    format!("{base}/{copy}")
}

/// Computes the chain of a run anew from its rows, as somebody can who may write to the database and has our code.
pub(crate) async fn compute_chain_anew(url: &str, run_id: Uuid) {
    let postgres = connect(url).await;
    let rows = postgres
        .query(
            "SELECT seq, first_event_id, version, records FROM history WHERE run_id = $1 ORDER BY seq",
            &[&run_id],
        )
        .await
        .unwrap();
    let mut previous: Hash = chain::GENESIS;
    for row in rows {
        let records: String = row.get(3);
        let seq: i32 = row.get(0);
        previous = chain::hash(
            &previous,
            chain::Row {
                version: row.get(2),
                namespace: "default",
                run_id,
                seq,
                first_event_id: row.get(1),
                records: &records,
            },
        );
        postgres
            .execute(
                "UPDATE history SET hash = $3 WHERE run_id = $1 AND seq = $2",
                &[&run_id, &seq, &previous.as_slice()],
            )
            .await
            .unwrap();
    }
}

pub(crate) async fn run_id(url: &str, workflow_id: &str) -> Uuid {
    let row = connect(url)
        .await
        .query_one(
            "SELECT run_id FROM execution WHERE workflow_id = $1",
            &[&workflow_id],
        )
        .await;
    row.unwrap().get(0)
}

/// Copies a database, changes rows of a run of the copy, computes its chain anew, and returns what is found.
pub(crate) async fn found_after_forging(
    url: &str,
    trust: &Trust,
    folder: &Folder,
    workflow_id: &str,
    tamper: &str,
) -> Vec<String> {
    let copy = copy(url).await;
    let run = run_id(&copy, workflow_id).await;
    execute(&copy, &tamper.replace("$RUN", &run.to_string())).await;
    compute_chain_anew(&copy, run).await;
    // To who has no key it is sound.
    let plain = pool(&copy).await;
    let report = audit::verify(&plain, audit::Scope::Everything)
        .await
        .unwrap();
    plain.close().await;
    assert!(report.is_sound(), "{:?}", report.findings);
    found(&copy, trust, folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_touched_is_sound() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let report = verified(&url, &trust, &folder).await;
    assert!(report.is_sound(), "{:?}", report.findings);
    let summary = report.sealed.unwrap();
    assert!(
        summary.checkpoints >= 2 && summary.entries >= 11,
        "{summary:?}"
    );
    assert_eq!(
        (summary.rows_not_sealed, summary.deletions_not_checked),
        (0, 0)
    );
    // To who trusts somebody else nothing is.
    let stranger = Trust {
        keys: vec![Signer::open(&folder.path("other")).unwrap().public()],
        checkpoint: None,
    };
    let found = found(&url, &stranger, &folder).await;
    assert_eq!(found[0], "CHECKPOINT_BROKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_written_anew_with_its_chain_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    for tamper in [
        // A row says something else.
        "UPDATE history SET records = replace(records, 'sequence', 'squence') WHERE run_id = '$RUN' AND seq = 0",
        // Two rows change places.
        "UPDATE history h SET records = o.records FROM history o
         WHERE h.run_id = '$RUN' AND o.run_id = '$RUN' AND h.seq IN (1, 2) AND o.seq = 3 - h.seq",
        // A row is taken out, and the rest moved up.
        "DELETE FROM history WHERE run_id = '$RUN' AND seq = 1;
         UPDATE history SET seq = seq - 101 WHERE run_id = '$RUN' AND seq > 1; UPDATE history SET seq = seq + 100 WHERE run_id = '$RUN' AND seq < 0",
    ] {
        let copy = copy(&url).await;
        let run = run_id(&copy, "then-1").await;
        execute(&copy, &tamper.replace("$RUN", &run.to_string())).await;
        compute_chain_anew(&copy, run).await;
        let found = verified(&copy, &trust, &folder).await.findings;
        assert!(
            found.iter().any(|it| it.problem.code() != "ROW_INSERTED"),
            "{tamper}: {found:?}"
        );
        let of_run = |it: &audit::Finding| it.run.as_ref().is_some_and(|it| it.run_id.0 == run);
        assert!(found.iter().all(of_run), "{tamper}: {found:?}");
    }
    let payload = "UPDATE history SET records = replace(records, '\"$p\":', '\"$p\": ') WHERE run_id = '$RUN'";
    let found = found_after_forging(&url, &trust, &folder, "then-2", payload).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ROW_CHANGED"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let whole = "DELETE FROM history WHERE run_id = (SELECT run_id FROM execution WHERE workflow_id = 'then-1');
                 DELETE FROM current_run WHERE workflow_id = 'then-1';
                 DELETE FROM visibility WHERE workflow_id = 'then-1';
                 DELETE FROM execution WHERE workflow_id = 'then-1'";
    let found = found_after(&url, &trust, &folder, whole).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ROW_REMOVED"), "{found:?}");
    let tail = "DELETE FROM history WHERE (run_id, seq) = (SELECT run_id, max(seq) FROM history GROUP BY 1 ORDER BY 1 LIMIT 1);
                UPDATE execution SET closed_at = NULL, status = 1, history_length = NULL, history_bytes = NULL";
    let found = found_after(&url, &trust, &folder, tail).await;
    assert!(
        found.iter().any(|it| it.starts_with("ROW_REMOVED")),
        "{found:?}"
    );
    // What says that a run was deleted, and what it says.
    for tamper in [
        "DELETE FROM tombstone",
        "UPDATE tombstone SET reason = 1",
        "UPDATE tombstone SET hash = sha256('x')",
        "UPDATE tombstone SET at = at - interval '1 day'",
        "UPDATE tombstone SET workflow_id = 'other'",
    ] {
        let found = found_after(&url, &trust, &folder, tamper).await;
        assert!(
            found.iter().any(|it| it == "TOMBSTONE_BROKEN"),
            "{tamper}: {found:?}"
        );
    }
    // A deletion that is made up.
    let forged = format!(
        "INSERT INTO tombstone (namespace, at, reason, runs, closed_from, closed_until, events, bytes, run_id, runs_hash, hash)
         SELECT 1, now() - interval '1 hour', 2, 1, now(), now(), 11, 1, run_id, sha256('x'), sha256('x') FROM execution WHERE workflow_id = 'then-1';
         {whole}"
    );
    let found = found_after(&url, &trust, &folder, &forged).await;
    assert!(found.iter().any(|it| it == "TOMBSTONE_BROKEN"), "{found:?}");
    // What excuses nothing: a deletion that is on record and named no such run, one of another time, and tiles that nobody has pruned.
    for excuse in [
        "UPDATE tombstone SET run_ids = run_ids || (SELECT run_id FROM execution WHERE workflow_id = 'then-1')",
        "UPDATE tombstone SET run_id = (SELECT run_id FROM execution WHERE workflow_id = 'then-1')",
        "INSERT INTO tombstone (namespace, at, reason, runs, closed_from, closed_until, events, bytes, run_ids, runs_hash, hash, leaf)
         SELECT 1, '2100-01-01', 2, 1, now(), now(), 11, 1, ARRAY[run_id], sha256(uuid_send(run_id)), sha256('x'), 0
         FROM execution WHERE workflow_id = 'then-1'",
        "INSERT INTO tombstone (namespace, at, reason, runs, closed_from, closed_until, events, bytes, run_ids, runs_hash, hash)
         SELECT 1, '2100-01-01', 2, 1, now(), now(), 11, 1, ARRAY[run_id], sha256(uuid_send(run_id)), sha256('x')
         FROM execution WHERE workflow_id = 'then-1'",
        "INSERT INTO seal_pruned (at, tiles, leaf) VALUES ('2100-01-01', '{0}', 0)",
    ] {
        let found = found_after(&url, &trust, &folder, &format!("{excuse}; {whole}")).await;
        assert!(found.iter().any(|it| it.starts_with("ROW_REMOVED")), "{excuse}: {found:?}");
    }
}

/// Puts in a run as if it had been there for an hour: of an id, and with events, of that time.
pub(crate) async fn make_up_run(url: &str) {
    let old = run_id(url, "then-1").await;
    let mut bytes = *old.as_bytes();
    let millis = u64::from_be_bytes([
        0, 0, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5],
    ]) - 3_600_000;
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    let new = Uuid::from_bytes(bytes);
    execute(
        url,
        &format!(
            "INSERT INTO execution SELECT (jsonb_populate_record(e, '{{\"run_id\": \"{new}\"}}')).* FROM execution e WHERE run_id = '{old}';
             INSERT INTO history SELECT shard, '{new}', seq, first_event_id, version,
                    regexp_replace(records, '\"t\":\\d+', '\"t\":' || (extract(epoch FROM now() - interval '1 hour') * 1000000)::bigint, 'g'), hash
             FROM history WHERE run_id = '{old}'"
        ),
    )
    .await;
    compute_chain_anew(url, new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_in_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let copy = copy(&url).await;
    make_up_run(&copy).await;
    let found = found(&copy, &trust, &folder).await;
    assert!(
        !found.is_empty() && found.iter().all(|it| it.starts_with("ROW_INSERTED")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_that_were_exchanged_are_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let copy = copy(&url).await;
    let (one, two) = (run_id(&copy, "then-1").await, run_id(&copy, "then-2").await);
    execute(
        &copy,
        &format!(
            "CREATE TABLE o AS SELECT * FROM history WHERE run_id IN ('{one}', '{two}');
             DELETE FROM history WHERE run_id IN ('{one}', '{two}');
             INSERT INTO history SELECT e.shard, e.run_id, o.seq, o.first_event_id, o.version, o.records, o.hash FROM o
             JOIN execution e ON e.run_id IN ('{one}', '{two}') AND e.run_id <> o.run_id;
             DROP TABLE o"
        ),
    )
    .await;
    for run in [one, two] {
        compute_chain_anew(&copy, run).await;
    }
    let found = found(&copy, &trust, &folder).await;
    let is_named = |it: &String| is_of_rows(it) || it == "EXECUTION_CHANGED 0";
    assert!(found.len() >= 4 && found.iter().all(is_named), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_the_log_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    for (tamper, expected) in [
        // The entry of a run is made to fit a history that was changed, with all that is computed from it.
        (
            "UPDATE seal_tile SET hashes[2] = sha256('x')",
            "SEAL_BROKEN",
        ),
        (
            "UPDATE seal_tile SET ids[2] = gen_random_uuid()",
            "SEAL_BROKEN",
        ),
        ("UPDATE seal_tile SET seqs[2] = seqs[2] + 1", "SEAL_BROKEN"),
        ("DELETE FROM seal_tile", "SEAL_BROKEN"),
        (
            "DELETE FROM seal_tile; INSERT INTO seal_node VALUES (1, 0, sha256('x'))",
            "SEAL_BROKEN",
        ),
        (
            "UPDATE seal_tile SET ids = ids[1:5], shards = shards[1:5], seqs = seqs[1:5], hashes = hashes[1:5]",
            "SEAL_BROKEN",
        ),
        ("DELETE FROM checkpoint", "CHECKPOINT_BROKEN"),
        ("DELETE FROM checkpoint WHERE n = 0", "CHECKPOINT_BROKEN"),
        (
            "UPDATE checkpoint SET n = n + 1 WHERE n = (SELECT max(n) FROM checkpoint)",
            "CHECKPOINT_BROKEN",
        ),
        (
            "UPDATE checkpoint SET root = sha256('x') WHERE n = 0",
            "CHECKPOINT_BROKEN",
        ),
        (
            "UPDATE checkpoint SET size = size + 1 WHERE n = 0",
            "CHECKPOINT_BROKEN",
        ),
        (
            "UPDATE checkpoint SET complete_until = '2100-01-01'",
            "CHECKPOINT_BROKEN",
        ),
        (
            "UPDATE checkpoint SET note = replace(note, 'time 2', 'time 3') WHERE n = 0",
            "CHECKPOINT_BROKEN",
        ),
    ] {
        let found = found_after(&url, &trust, &folder, tamper).await;
        assert!(found.iter().any(|it| it == expected), "{tamper}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_off_is_found_by_who_has_kept_a_checkpoint() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let db = pool(&url).await;
    let latest = audit::checkpoint(&db, None).await.unwrap();
    db.close().await;
    let with_kept = Trust {
        checkpoint: Some(latest),
        ..trust.clone()
    };
    assert!(found(&url, &with_kept, &folder).await.is_empty());
    // All that the last checkpoint has sealed, and it itself, as if it had never been.
    let cut = "DELETE FROM history h WHERE run_id IN (SELECT run_id FROM execution WHERE workflow_id LIKE 'then%');
               DELETE FROM execution WHERE workflow_id LIKE 'then%'; DELETE FROM current_run WHERE workflow_id LIKE 'then%';
               DELETE FROM tombstone; DELETE FROM checkpoint WHERE size > 5";
    let first = number(&url, "SELECT count(*) FROM checkpoint WHERE size <= 5").await;
    assert!(first > 0);
    let cut_off = found_after(&url, &with_kept, &folder, cut).await;
    assert!(
        cut_off.iter().any(|it| it == "CHECKPOINT_BROKEN"),
        "{cut_off:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_a_history_needs_nothing_but_the_public_key() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let db = pool(&url).await;
    let of = |id: &str| {
        let (db, id) = (db.clone(), history::WorkflowId::known(id));
        async move { audit::prove(&db, &namespace(), &id, None).await }
    };
    for id in ["first-1", "then-4"] {
        let proof = of(id).await.unwrap();
        let file = serde_json::to_string(&proof).unwrap();
        let read = Proof::read(&file).unwrap();
        assert_eq!(read, proof);
        read.verify(&trust.keys).unwrap();
        let stranger = Signer::open(&folder.path("other")).unwrap().public();
        assert_eq!(read.verify(&[stranger]), Err(NotProved::Stranger));
        for (from, to, expected) in [
            (
                "ActivityTaskCompleted",
                "ActivityTaskCanceled",
                NotProved::OtherHistory,
            ),
            (
                "\"namespace\":\"default\"",
                "\"namespace\":\"other\"",
                NotProved::OtherHistory,
            ),
            (
                "\"firstEventId\":1",
                "\"firstEventId\":2",
                NotProved::OtherHistory,
            ),
            ("coreason/", "coreason/a", NotProved::Stranger),
        ] {
            let changed = file.replacen(from, to, 1);
            assert_ne!(changed, file, "{from}");
            assert_eq!(
                Proof::read(&changed).unwrap().verify(&trust.keys),
                Err(expected),
                "{from}"
            );
        }
    }
    assert!(matches!(of("first-0").await, Err(NoProof::NoRun)));
    // Of a history that was changed there is none.
    let run = run_id(&url, "then-1").await;
    execute(&url, &format!("UPDATE history SET records = replace(records, '}}', ' }}') WHERE run_id = '{run}' AND seq = 1")).await;
    assert!(matches!(
        of("then-1").await,
        Err(NoProof::NotProved(NotProved::OtherHistory))
    ));
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_log_was_only_appended_to_between_two_checkpoints_can_be_proved() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let db = pool(&url).await;
    let proof = audit::prove_consistency(&db, 0, None).await.unwrap();
    let file = serde_json::to_string(&proof).unwrap();
    let proved = Proof::read(&file).unwrap().verify(&trust.keys).unwrap();
    assert!(proved.since.unwrap() < proved.checkpoint.at);
    assert!(matches!(
        audit::prove_consistency(&db, 0, Some(1 << 40)).await,
        Err(NoProof::NoCheckpoint)
    ));
    // The other way round it was not.
    let Proof::Consistency(mut turned) = proof else {
        panic!("{file}");
    };
    std::mem::swap(&mut turned.from, &mut turned.to);
    assert_eq!(
        Proof::Consistency(turned).verify(&trust.keys),
        Err(NotProved::Rewritten)
    );
    execute(
        &url,
        "UPDATE seal_tile SET hashes = ARRAY(SELECT sha256(h) FROM unnest(hashes) AS h)",
    )
    .await;
    assert!(matches!(
        audit::prove_consistency(&db, 0, None).await,
        Err(NoProof::NotProved(NotProved::Rewritten))
    ));
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_log_has_grown_from_nothing_can_be_proved() {
    let folder = Folder::new();
    let url = database().await;
    // Makes the tables.
    owner(&url).await.close().await;
    let (old, new) = (
        Signer::open(&folder.path("old")).unwrap(),
        Signer::open(&folder.path("new")).unwrap(),
    );
    let db = pool(&url).await;
    let rotated = engine::seal::rotate(&db, Some(&old), &new).await.unwrap();
    rotated.unwrap();
    let (engine, public) = sealing(&url, &folder.path("new")).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "first", 1).await;
    sealed(&url).await;
    engine.close().await;

    let grown = audit::prove_consistency(&db, 0, None).await.unwrap();

    assert_eq!(grown.verify(&[old.public()]).unwrap().key, public);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealing_that_was_stopped_and_goes_on_accuses_nobody() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    execute(&url, "DELETE FROM feed_consumer WHERE name = 'seal'").await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "unsealed", 2).await;
    engine.delete_workflow(&address("first-1")).await.unwrap();
    engine.close().await;
    let before = number(&url, "SELECT count(*) FROM checkpoint").await;

    let (engine, _) = sealing(&url, &folder.path("key")).await;
    sealed(&url).await;
    engine.close().await;

    assert!(found(&url, &trust, &folder).await.is_empty());
    let next =
        format!("SELECT strpos(note, chr(10) || 'gap')::bigint FROM checkpoint WHERE n = {before}");
    assert!(
        number(&url, &next).await > 0,
        "what was committed meanwhile was sealed too late"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_begins_behind_the_deletions_that_are_under_way() {
    let folder = Folder::new();
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "first", 3).await;
    until(
        &url,
        "(SELECT count(*) = 3 FROM visibility WHERE status = 2)",
    )
    .await;
    engine.close().await;
    // It has looked whether there is a log, and not committed.
    let deleting = connect(&url).await;
    deleting
        .batch_execute("BEGIN; SELECT delete_runs(array_agg(shard), array_agg(run_id), 2::smallint) FROM execution WHERE workflow_id = 'first-0'")
        .await
        .unwrap();

    let (engine, public) = sealing(&url, &folder.path("key")).await;
    until(
        &url,
        "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM feed_consumer WHERE name = $1 FOR NO KEY UPDATE%')",
    )
    .await;
    assert_eq!(
        number(
            &url,
            "SELECT count(*) FROM feed_consumer WHERE name = 'seal'"
        )
        .await,
        0
    );
    deleting.batch_execute("COMMIT").await.unwrap();
    sealed(&url).await;
    engine.close().await;

    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    let report = verified(&url, &trust, &folder).await;
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_wrong_makes_no_row_one_that_was_put_in_later() {
    let folder = Folder::new();
    let url = database().await;
    // Makes the tables.
    owner(&url).await.close().await;
    execute(
        &url,
        "CREATE SCHEMA clock; CREATE TABLE clock.ahead AS SELECT interval '1 hour' AS by;
         CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql
             AS 'SELECT pg_catalog.clock_timestamp() + by FROM clock.ahead'",
    )
    .await;
    // Who names the catalogue behind it reads this clock, and not the server's.
    let sign = if url.contains('?') { '&' } else { '?' };
    let of_clock = format!("{url}{sign}options=-c%20search_path%3Dpublic,clock,pg_catalog");
    for (ahead, name) in [("1 hour", "first"), ("0", "then")] {
        execute(&url, &format!("UPDATE clock.ahead SET by = '{ahead}'")).await;
        let (engine, _) = sealing(&of_clock, &folder.path("key")).await;
        work(&engine, sequence(1), echo());
        run_some(&engine, name, 2).await;
        sealed(&url).await;
        engine.close().await;
    }
    // By a clock that this machine's contradicts it is not said until when all is sealed.
    let by_it =
        "SELECT count(*) FROM checkpoint WHERE complete_until > now() + interval '1 minute'";
    assert_eq!(number(&url, by_it).await, 0);
    // By then nothing is of the future.
    execute(&url, "UPDATE clock.ahead SET by = '2 hours'").await;

    let trust = Trust {
        keys: vec![Signer::open(&folder.path("key")).unwrap().public()],
        checkpoint: None,
    };
    let db = pool(&of_clock).await;
    let report = audit::verify_sealed(&db, &trust).await.unwrap();

    assert!(report.is_sound(), "{:?}", report.findings);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trusts_a_key_trusts_those_that_follow_it_on_record() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let (old, new) = (
        Signer::open(&folder.path("key")).unwrap(),
        Signer::open(&folder.path("new")).unwrap(),
    );
    let db = pool(&url).await;
    engine::seal::rotate(&db, Some(&old), &new)
        .await
        .unwrap()
        .unwrap();
    let again = engine::seal::rotate(&db, Some(&old), &new).await.unwrap();
    assert_eq!(
        again,
        Err(engine::seal::Refusal::OtherKey),
        "the old key signs no more"
    );
    let (engine, public) = sealing(&url, &folder.path("new")).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "later", 2).await;
    sealed(&url).await;
    engine.close().await;
    assert!(found(&url, &trust, &folder).await.is_empty());
    let proof = audit::prove(
        &db,
        &namespace(),
        &history::WorkflowId::known("later-1"),
        None,
    )
    .await
    .unwrap();
    assert_eq!(proof.verify(&trust.keys).unwrap().key, public);
    // A checkpoint that was kept is one of the log, whoever has signed it.
    let with_kept = Trust {
        checkpoint: Some(audit::checkpoint(&db, None).await.unwrap()),
        ..trust.clone()
    };
    assert!(found(&url, &with_kept, &folder).await.is_empty());
    // A key that is lost does not say who follows it: both have to be given.
    let lost = Signer::open(&folder.path("lost")).unwrap();
    engine::seal::rotate(&db, None, &lost)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found(&url, &trust, &folder).await, ["CHECKPOINT_BROKEN"]);
    let both = Trust {
        keys: vec![trust.keys[0].clone(), lost.public()],
        checkpoint: None,
    };
    assert!(found(&url, &both, &folder).await.is_empty());
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_what_was_signed_is_not_signed_any_more() {
    let folder = Folder::new();
    let (url, _) = some_sealed(&folder).await;
    execute(&url, "DELETE FROM checkpoint WHERE n > 0").await;
    let checkpoints = "SELECT count(*) FROM checkpoint";
    let (engine, _) = sealing(&url, &folder.path("key")).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "later", 2).await;
    let turns = number(&url, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").await;
    until(&url, &format!("(SELECT xact_commit + xact_rollback > {turns} + 20 FROM pg_stat_database WHERE datname = current_database())")).await;
    assert_eq!(number(&url, checkpoints).await, 1);
    engine.close().await;
    // Nor is one that was changed.
    let (url, _) = some_sealed(&Folder::new()).await;
    let before = number(&url, checkpoints).await;
    execute(&url, "UPDATE seal_tile SET hashes[1] = sha256('x')").await;
    let db = pool(&url).await;
    let other = Signer::open(&folder.path("third")).unwrap();
    assert_eq!(
        engine::seal::rotate(&db, None, &other).await.unwrap().err(),
        Some(engine::seal::Refusal::Altered)
    );
    db.close().await;
    assert_eq!(number(&url, checkpoints).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_t_be_read_is_refused_and_all_processes_are_told() {
    let folder = Folder::new();
    let (url, _) = some_sealed(&folder).await;
    for damage in [
        "DELETE FROM seal_tile",
        "UPDATE seal_tile SET hashes = array_fill(NULL::bytea, ARRAY[cardinality(ids)])",
        "UPDATE checkpoint SET note = 'x'",
        "DELETE FROM seal",
        "ALTER TABLE seal_tile RENAME TO taken",
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

/// Closed runs with a row of history each, as many as there are tiles of, and one more.
pub(crate) const OLD_RUNS: &str = "
    INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id, request_id, started_at, status, closed_at,
                           history_length, history_bytes)
    SELECT 0, id, 1, id::text, 't', 'q', id, 'r', '2026-01-01', 2, '2026-01-01', 1, 1
    FROM (SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series(1, 256 * 20 + 1) AS n) AS x;
    INSERT INTO current_run SELECT shard, namespace, workflow_id, run_id FROM execution;
    INSERT INTO history SELECT shard, run_id, 0, 1, 1, '[]', sha256(uuid_send(run_id)) FROM execution";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_of_deleted_runs_goes_and_the_rest_can_still_be_proved() {
    let folder = Folder::new();
    let url = database().await;
    // Makes the tables.
    owner(&url).await.close().await;
    execute(&url, OLD_RUNS).await;
    let (engine, public) = sealing(&url, &folder.path("key")).await;
    sealed(&url).await;
    work(&engine, sequence(1), echo());
    run_some(&engine, "kept", 3).await;
    sealed(&url).await;
    let all = "SELECT delete_runs(array_agg(shard), array_agg(run_id), 1::smallint)::bigint FROM execution WHERE shard = 0 AND request_id = 'r'";
    assert_eq!(number(&url, all).await, 256 * 20 + 1);
    until(
        &url,
        "(SELECT count(*) = 20 FROM seal_pruned p CROSS JOIN unnest(p.tiles))",
    )
    .await;
    engine.delete_workflow(&address("kept-0")).await.unwrap();
    sealed(&url).await;
    engine.close().await;
    drop(engine);

    assert_eq!(number(&url, "SELECT count(*) FROM seal_tile").await, 1);
    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    let report = verified(&url, &trust, &folder).await;
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.sealed.unwrap().deletions_not_checked, 1);
    let db = pool(&url).await;
    let kept = history::WorkflowId::known("kept-1");
    let proof = audit::prove(&db, &namespace(), &kept, None).await.unwrap();
    proof.verify(&trust.keys).unwrap();
    let grown = audit::prove_consistency(&db, 0, None).await.unwrap();
    grown.verify(&trust.keys).unwrap();
    db.close().await;
    for (tamper, expected) in [
        ("DELETE FROM seal_pruned", "SEAL_BROKEN"),
        ("UPDATE seal_pruned SET tiles = tiles[2:]", "SEAL_BROKEN"),
        (
            "UPDATE seal_node SET hash = sha256('x') WHERE n = 3",
            "SEAL_BROKEN",
        ),
        ("DELETE FROM seal_tile", "SEAL_BROKEN"),
        (
            "DELETE FROM seal_tile; INSERT INTO seal_pruned (at, tiles, leaf) SELECT '2026-01-01', ARRAY[20], 7",
            "SEAL_BROKEN",
        ),
    ] {
        let found = found_after(&url, &trust, &folder, tamper).await;
        assert!(found.iter().any(|it| it == expected), "{tamper}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pg_dump_writes_is_read() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    let server = number(
        &url,
        "SELECT current_setting('server_version_num')::bigint / 10000",
    )
    .await;
    let version = std::process::Command::new("pg_dump")
        .arg("--version")
        .output();
    let Ok(version) = version else {
        return;
    };
    if !String::from_utf8(version.stdout)
        .unwrap()
        .contains(&format!(") {server}."))
    {
        // It reads no newer server than itself. ./test comes here with the machine's own as well.
        return;
    }
    for words in [&[][..], &["--load-via-partition-root", "--data-only"]] {
        let path = folder.path("dump.sql");
        let dumped = std::process::Command::new("pg_dump")
            .args(words)
            .arg("--file")
            .arg(&path)
            .arg(&url)
            .status();
        assert!(dumped.unwrap().success());
        let report = audit::verify_dump(&Dump::open(&path).unwrap(), &trust)
            .await
            .unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert!(report.rows > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_by_hand_stays_in_the_log_however_much_else_is_deleted() {
    let folder = Folder::new();
    let url = database().await;
    owner(&url).await.close().await;
    execute(&url, OLD_RUNS).await;
    let (engine, public) = sealing(&url, &folder.path("key")).await;
    sealed(&url).await;
    let third_tile = "run_id IN (SELECT run_id FROM execution WHERE request_id = 'r' ORDER BY run_id OFFSET 512 LIMIT 256)";
    execute(
        &url,
        &format!(
            "DELETE FROM history WHERE {third_tile}; DELETE FROM current_run WHERE {third_tile}; DELETE FROM execution WHERE {third_tile}"
        ),
    )
    .await;
    let all = "SELECT delete_runs(array_agg(shard), array_agg(run_id), 1::smallint)::bigint FROM execution WHERE shard = 0 AND request_id = 'r'";
    assert_eq!(number(&url, all).await, 256 * 19 + 1);
    until(
        &url,
        "(SELECT count(*) = 19 FROM seal_pruned p CROSS JOIN unnest(p.tiles))",
    )
    .await;
    engine.close().await;
    drop(engine);
    let trust = Trust {
        keys: vec![public],
        checkpoint: None,
    };
    let found = found(&url, &trust, &folder).await;
    assert_eq!(found, ["ROW_REMOVED 0"; 256]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_to_another_workflow_is_found() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    for tamper in [
        "UPDATE execution SET workflow_type = 'refund' WHERE workflow_id = 'then-1'",
        "UPDATE execution SET workflow_id = 'order-813' WHERE workflow_id = 'then-1';
         UPDATE current_run SET workflow_id = 'order-813' WHERE workflow_id = 'then-1'",
    ] {
        let found = found_after(&url, &trust, &folder, tamper).await;
        assert_eq!(found, ["EXECUTION_CHANGED 0"], "{tamper}");
    }
}

#[test]
fn no_key_is_made_where_one_has_signed() {
    let folder = Folder::new();
    let path = folder.path("key");
    let made = Signer::open(&path).unwrap();
    assert_eq!(Signer::open(&path).unwrap().public(), made.public());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(folder.path("key.checkpoint"), "what it has signed").unwrap();
    assert!(matches!(Signer::open(&path), Err(KeyError::Gone(_))));
    assert!(!path.exists());
    assert!(matches!(
        Signer::open_known(&folder.path("typo")),
        Err(KeyError::Io { .. })
    ));
    assert!(!folder.path("typo").exists());
}

/// A folder that an engine archives to.
#[derive(Debug)]
struct Archived(PathBuf);

impl Archive for Archived {
    fn name(&self) -> BoxFuture<'_, Result<Option<Uuid>, PutError>> {
        let name = std::fs::read_to_string(self.0.join("name")).ok();
        async { Ok(name.map(|name| Uuid::parse_str(&name).unwrap())) }.boxed()
    }

    fn begin(&self, name: Uuid) -> BoxFuture<'_, Result<(), PutError>> {
        std::fs::write(self.0.join("name"), name.to_string()).unwrap();
        async { Ok(()) }.boxed()
    }

    fn put(&self, name: String, object: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>> {
        let path = self.0.join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, object).unwrap();
        async { Ok(name) }.boxed()
    }
}

/// Makes the tables of another database from the lines of an object; returns how many rows of history these have, which are sound.
async fn rows_from_archive(object: &str) -> u64 {
    let url = database().await;
    // Makes the tables.
    owner(&url).await.close().await;
    let postgres = connect(&url).await;
    for line in object.lines() {
        let Proof::History(history) = Proof::read(line).unwrap() else {
            unreachable!("{line}");
        };
        let run = history.run_id.0;
        let started: serde_json::Value = serde_json::from_str(&history.rows[0].records).unwrap();
        let started = &started[0]["e"]["WorkflowExecutionStarted"];
        let insert = "INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id, request_id, started_at, status)
                      VALUES (0, $1, 1, $2, $3, 'default', $1, 'r', now(), 1)";
        let workflow_type = started["workflow_type"].as_str().unwrap();
        postgres
            .execute(insert, &[&run, &history.workflow_id, &workflow_type])
            .await
            .unwrap();
        for (seq, row) in (0_i32..).zip(&history.rows) {
            let insert = "INSERT INTO history (shard, run_id, seq, first_event_id, version, records, hash) VALUES (0, $1, $2, $3, $4, $5, sha256('x'))";
            postgres
                .execute(
                    insert,
                    &[&run, &seq, &row.first_event_id, &row.version, &row.records],
                )
                .await
                .unwrap();
        }
        compute_chain_anew(&url, run).await;
    }
    let pool = pool(&url).await;
    let report = audit::verify(&pool, audit::Scope::Everything)
        .await
        .unwrap();
    pool.close().await;
    assert!(report.is_sound(), "{:?}", report.findings);
    report.rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_archived_keeps_nothing_behind_it_from_being_so() {
    let folder = Folder::new();
    let (url, trust) = some_sealed(&folder).await;
    // More than are looked at at once, closed before all others, and in no log.
    let in_front = OLD_RUNS.replace("FROM execution", "FROM execution WHERE request_id = 'r'");
    let in_front = format!(
        "{in_front};
         UPDATE execution SET closed_at = closed_at - interval '1 hour';
         SELECT project_visibility(array_agg(shard), array_agg(run_id)) FROM execution;
         UPDATE namespace SET retention = '1 minute'"
    );
    execute(&url, &in_front).await;
    let engine = owner_with(Config {
        signer: Some(Arc::new(Signer::open(&folder.path("key")).unwrap())),
        archive: Some(Arc::new(Archived(folder.0.clone()))),
        ..Config::new(&url, "http://127.0.0.1:1")
    })
    .await;
    until(
        &url,
        "(SELECT coalesce(sum(runs), 0) = 9 FROM tombstone WHERE reason = 1)",
    )
    .await;
    engine.close().await;
    assert_eq!(
        number(&url, "SELECT count(*) FROM execution").await,
        256 * 20 + 1
    );
    let object = connect(&url).await;
    let object = object.query_one(
        "SELECT DISTINCT archive FROM deletion WHERE reason = 'Retention'",
        &[],
    );
    let object: String = object.await.unwrap().get(0);
    let object = std::fs::read_to_string(folder.path(&object)).unwrap();
    let report = audit::verify_archive(object.as_bytes(), &trust.keys).unwrap();
    assert_eq!((report.runs, report.findings), (9, Vec::new()));
    assert_eq!(rows_from_archive(&object).await, report.rows);
    // One that was put in the place of another is none.
    let mut lines: Vec<&str> = object.lines().collect();
    lines[4] = lines[2];
    let report = audit::verify_archive(lines.join("\n").as_bytes(), &trust.keys).unwrap();
    assert_eq!(report.runs, 8);
    let finding = report.findings[0].to_string();
    assert!(
        finding.starts_with("line 5: the run ") && finding.ends_with(" has a line before it"),
        "{finding}"
    );
}
