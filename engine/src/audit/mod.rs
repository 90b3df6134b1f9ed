//! The audit of the stored histories: every chain is computed again from the rows.
//!
//! Found is whatever changed, was put in, left out or moved inside a run. Not found is a tail that was cut from an open
//! run, because nothing in the database says how long it was.

use std::path::Path;

use futures::{TryStreamExt as _, pin_mut};
use history::{RunId, Timestamp};
use sqlx::PgPool;

use sealed::Sealed;
use source::Source;

use crate::store::{
    self,
    audit::{self, Key, Place},
};

mod archive;
mod cells;
mod chain;
mod check;
mod dump;
mod finding;
mod log;
mod origin;
mod prove;
mod report;
mod script;
mod sealed;
mod source;

pub use crate::store::dump::DumpError;
pub use archive::{ArchiveReport, NotArchived, verify_archive};
pub use check::{Breach, Rule, check, rules};
pub use dump::Dump;
pub use finding::{Finding, Problem};
pub use prove::{
    ConsistencyProof, HistoryProof, NoProof, NotProved, Proof, Proved, Row, checkpoint, prove,
    prove_consistency,
};
pub(crate) use prove::{ProvedBy, SealedRun};
pub use report::{FINDINGS_MAX, Report, Summary, Trust};
pub use sqlx::PgPool as Pool;

/// How many rows one statement reads. They are taken one by one; a statement that ends soon lets vacuum go on.
const PAGE_ROWS: i64 = 1000;

/// Opens a database to be audited, as it is: nothing is migrated.
///
/// # Errors
/// When it can't be reached, or has no tables of an engine.
pub async fn connect(url: &str) -> Result<PgPool, store::Error> {
    let address = store::connect::Address::find(url).await?;
    let pool = store::fit::pool(&address).await?;
    store::fit::check_tables(&address, &pool).await?;
    Ok(pool)
}

/// What is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All runs.
    Everything,
    /// One run.
    Run(RunId),
}

/// Computes the chains again and reports what is wrong. Memory does not grow with the number of rows. Commits go on meanwhile.
///
/// # Errors
/// When the database fails, or the role may not read it. A row that can't be read is a finding.
pub async fn verify(pool: &PgPool, scope: Scope) -> Result<Report, store::Error> {
    verify_scope(pool, scope)
        .await
        .map_err(store::fit::if_unread)
}

/// The same of all runs, and compares them with what was sealed. Takes some 80 bytes of memory an entry of the log.
///
/// # Errors
/// When the database fails, or the role may not read it.
pub async fn verify_sealed(pool: &PgPool, trust: &Trust) -> Result<Report, store::Error> {
    verify_all(Source::Database(pool), trust)
        .await
        .map_err(store::fit::if_unread)
}

/// The same of a dump. Takes some 40 bytes of memory a row beside that.
///
/// # Errors
/// When it can't be read.
pub async fn verify_dump(dump: &Dump, trust: &Trust) -> Result<Report, store::Error> {
    verify_all(Source::Dump(dump), trust).await
}

async fn verify_all(source: Source<'_>, trust: &Trust) -> Result<Report, store::Error> {
    let mut report = Report::default();
    // Before the rows: what was committed by then is there when they are read.
    let mut sealed = Sealed::read(source, trust).await?;
    verify_rows(source, &mut report, |row, at| sealed.check(row, at)).await?;
    find_runs_without_history(source, &mut report).await?;
    sealed.finish(source, &mut report).await?;
    Ok(report)
}

async fn verify_scope(pool: &PgPool, scope: Scope) -> Result<Report, store::Error> {
    let mut report = Report::default();
    let source = Source::Database(pool);
    match scope {
        Scope::Everything => {
            verify_rows(source, &mut report, |_, _| {}).await?;
            find_runs_without_history(source, &mut report).await?;
        }
        Scope::Run(run_id) => {
            for shard in audit::shards_of(pool, run_id.0).await? {
                let run_id = run_id.0;
                verify_run(source, Key { shard, run_id }, &mut report).await?;
            }
        }
    }
    Ok(report)
}

async fn verify_rows(
    source: Source<'_>,
    report: &mut Report,
    mut seen: impl FnMut(&audit::Row, Option<Timestamp>),
) -> Result<(), store::Error> {
    let mut place = Place::FIRST;
    let mut run: Option<chain::Run> = None;
    loop {
        let page = source.rows_after(place, PAGE_ROWS);
        pin_mut!(page);
        let mut rows = 0;
        while let Some(row) = page.try_next().await? {
            rows += 1;
            place = row.place();
            if run.as_ref().is_none_or(|run| run.key() != row.run())
                && let Some(done) = run.replace(chain::Run::new(row.run()))
            {
                finish(source, done, report).await?;
            }
            let at = run.as_mut().and_then(|run| run.check(&row));
            seen(&row, at);
        }
        if rows < PAGE_ROWS {
            break;
        }
    }
    match run {
        Some(done) => finish(source, done, report).await,
        None => Ok(()),
    }
}

async fn verify_run(source: Source<'_>, key: Key, report: &mut Report) -> Result<(), store::Error> {
    let mut run = chain::Run::new(key);
    for row in source.rows_of(key, i32::MIN..=i32::MAX).await? {
        run.check(&row);
    }
    if run.is_empty() {
        if source.is_gone(key).await? {
            return Ok(());
        }
        report.runs += 1;
        report.add(without_history(key));
        return Ok(());
    }
    finish(source, run, report).await
}

/// Adds what was found in a run, unless it was deleted meanwhile. Rows whose hash is wrong are read once more, to say what was done to them.
async fn finish(
    source: Source<'_>,
    run: chain::Run,
    report: &mut Report,
) -> Result<(), store::Error> {
    let key = run.key();
    let done = run.done();
    if !done.findings.is_empty() && source.is_gone(key).await? {
        return Ok(());
    }
    report.runs += 1;
    report.rows += done.rows;
    report.events += done.events;
    let mut findings = done.findings;
    if let Some(window) = origin::window(&done.wrong) {
        let rows = source.rows_of(key, window).await?;
        findings.extend(origin::explain(&rows, &done.wrong));
    }
    findings.sort_by_key(|finding| finding.seq);
    for finding in findings {
        report.add(finding);
    }
    Ok(())
}

async fn find_runs_without_history(
    source: Source<'_>,
    report: &mut Report,
) -> Result<(), store::Error> {
    let mut after = Key::FIRST;
    loop {
        let page = source.runs_without_history(after, PAGE_ROWS).await?;
        for key in &page {
            report.runs += 1;
            report.add(without_history(*key));
            after = *key;
        }
        if i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE_ROWS {
            return Ok(());
        }
    }
}

fn without_history(run: Key) -> Finding {
    Finding {
        run: Some(run.run_ref()),
        seq: None,
        problem: Problem::WithoutHistory,
        sentence: "the run is in execution, but history has no row of it".to_owned(),
    }
}

/// Writes what an audit reads to a file, as of one moment, in the form of `pg_dump`'s plain text: [`Dump`] reads it.
///
/// # Errors
/// When the database fails, the role may not read it, or the file can't be written.
pub async fn dump(pool: &PgPool, path: &Path) -> Result<(), DumpError> {
    // It has what users gave.
    let mut options = tokio::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = tokio::io::BufWriter::new(file.await?);
    let dumped = store::dump::dump(pool, &mut file).await;
    if dumped.is_err() {
        // Half of it is worth nothing, and in the way of the next one.
        tokio::fs::remove_file(path).await?;
    }
    dumped?;
    Ok(file.into_inner().sync_all().await?)
}
