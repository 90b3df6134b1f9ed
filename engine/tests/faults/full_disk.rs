//! No space is left: for tables, or for the write-ahead log.

use std::{fs, io::Write as _, path::Path};

use engine::Engine;
use history::{Payload, Payloads, decide::StartWorkflow};

use crate::{
    instance::Instance,
    ledger::{Ledger, is_passing, keep_working},
    support::*,
};

const MIB: u64 = 1024 * 1024;

/// Takes all the space that is left.
fn fill(disk: &Path) {
    let mut ballast = fs::File::create(disk.join("ballast")).unwrap();
    let block = vec![0; 4096];
    while ballast.write_all(&block).is_ok() {}
}

fn empty(disk: &Path) {
    fs::remove_file(disk.join("ballast")).unwrap();
}

/// A start that needs a mebibyte, however well it is compressed.
fn large(workflow_id: &str) -> StartWorkflow {
    let noise: String = (0..MIB / 32)
        .map(|_| uuid::Uuid::new_v4().simple().to_string())
        .collect();
    StartWorkflow {
        input: Payloads::one(Payload::json(&noise).unwrap()),
        ..start("seq", workflow_id)
    }
}

/// Starts large workflows until one is not acknowledged; returns that request.
async fn start_until_refused(engine: &Engine, ledger: &Ledger) -> StartWorkflow {
    let mut n = 0;
    loop {
        n += 1;
        assert!(n < 64, "64 MiB went onto a smaller disk");
        let request = large(&format!("large{n}"));
        match engine.start_workflow(&namespace(), request.clone()).await {
            Ok(started) => ledger.started(request.workflow_id.as_str(), started.run_id),
            Err(error) => {
                assert!(is_passing(&error), "{error}");
                return request;
            }
        }
    }
}

/// Sends a request until it is done.
async fn insist(engine: &Engine, ledger: &Ledger, request: StartWorkflow) {
    let done = async {
        loop {
            engine.owning().await;
            match engine.start_workflow(&namespace(), request.clone()).await {
                Ok(started) => break started.run_id,
                Err(error) => assert!(is_passing(&error), "{error}"),
            }
        }
    };
    let run_id = tokio::time::timeout(PATIENCE, done)
        .await
        .expect("it goes on when there is space");
    ledger.started(request.workflow_id.as_str(), run_id);
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skipped() {
    eprintln!("skipped: this user may not mount a disk to fill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_tables_costs_answers_but_nothing_acknowledged() {
    let mut postgres = Instance::folder();
    let Some(disk) = postgres.small_disk("tables", 48 * MIB) else {
        return skipped();
    };
    postgres.init(&[]);
    postgres.run().await;
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.display());
    execute(&postgres.url(), &tablespace).await;
    let url = postgres.database("engine", "TABLESPACE small").await;
    let engine = owner(&url).await;
    let ledger = Ledger::default();
    ledger.started(
        "before",
        engine
            .start_workflow(&namespace(), start("seq", "before"))
            .await
            .unwrap()
            .run_id,
    );
    fill(&disk);
    let refused = start_until_refused(&engine, &ledger).await;
    empty(&disk);
    insist(&engine, &ledger, refused).await;
    keep_working(&engine, sequence(2), echo());
    ledger.run(&engine, "after", 2).await;
    end(&engine, "before").await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_log_stops_postgres_but_costs_nothing_acknowledged() {
    let mut postgres = Instance::folder();
    let Some(disk) = postgres.small_disk("log-disk", 48 * MIB) else {
        return skipped();
    };
    let log = disk.join("wal").display().to_string();
    postgres.init(&["--wal-segsize", "1", "--waldir", &log]);
    postgres.run().await;
    let url = postgres.database("engine", "").await;
    let engine = owner(&url).await;
    let ledger = Ledger::default();
    fill(&disk);
    let asked = start_until_refused(&engine, &ledger);
    let refused = tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("it answers while the disk is full");
    empty(&disk);
    postgres.run().await;
    insist(&engine, &ledger, refused).await;
    keep_working(&engine, sequence(2), echo());
    ledger.run(&engine, "after", 2).await;
    ledger.check(&url).await;
}
