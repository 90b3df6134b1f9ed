//! The audit of the stored histories: every chain is computed again from the rows.
//!
//! Found is whatever changed, was put in, left out or moved inside a run. Not found is a tail that was cut from an open
//! run, because nothing in the database says how long it was.

use futures::{TryStreamExt as _, pin_mut};
use history::RunId;
use sqlx::PgPool;

use crate::store::{
    self,
    audit::{Key, Place, Row},
};

mod chain;
mod check;
mod finding;
mod origin;

pub use check::{Breach, Rule, check, rules};
pub use finding::{Finding, Problem};

/// The most findings that a report lists; the others are counted.
pub const FINDINGS_MAX: usize = 10_000;
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

/// What an audit saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many runs it read.
    pub runs: u64,
    /// How many rows.
    pub rows: u64,
    /// How many events.
    pub events: u64,
    /// What is wrong; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many more findings there were.
    pub more: u64,
}

impl Report {
    /// Says whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
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

async fn verify_scope(pool: &PgPool, scope: Scope) -> Result<Report, store::Error> {
    let mut report = Report::default();
    match scope {
        Scope::Everything => {
            verify_rows(pool, &mut report).await?;
            find_runs_without_history(pool, &mut report).await?;
        }
        Scope::Run(run_id) => {
            for shard in store::audit::shards_of(pool, run_id.0).await? {
                let run_id = run_id.0;
                verify_run(pool, Key { shard, run_id }, &mut report).await?;
            }
        }
    }
    Ok(report)
}

async fn verify_rows(pool: &PgPool, report: &mut Report) -> Result<(), store::Error> {
    let mut place = Place::FIRST;
    let mut run: Option<chain::Run> = None;
    loop {
        let page = store::audit::rows_after(pool, place, PAGE_ROWS);
        pin_mut!(page);
        let mut rows = 0;
        while let Some(row) = page.try_next().await? {
            rows += 1;
            place = row.place();
            if run.as_ref().is_none_or(|run| run.key() != row.run())
                && let Some(done) = run.replace(chain::Run::new(row.run()))
            {
                finish(pool, done, report).await?;
            }
            if let Some(run) = &mut run {
                run.check(&row);
            }
        }
        if rows < PAGE_ROWS {
            break;
        }
    }
    match run {
        Some(done) => finish(pool, done, report).await,
        None => Ok(()),
    }
}

async fn verify_run(pool: &PgPool, key: Key, report: &mut Report) -> Result<(), store::Error> {
    let mut run = chain::Run::new(key);
    let rows = store::audit::rows_of(pool, key, i32::MIN..=i32::MAX);
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        run.check(&row);
    }
    if run.is_empty() {
        if store::audit::is_gone(pool, key).await? {
            return Ok(());
        }
        report.runs += 1;
        report.add(without_history(key));
        return Ok(());
    }
    finish(pool, run, report).await
}

/// Adds what was found in a run, unless it was deleted meanwhile. Rows whose hash is wrong are read once more, to say what was done to them.
async fn finish(pool: &PgPool, run: chain::Run, report: &mut Report) -> Result<(), store::Error> {
    let key = run.key();
    let done = run.done();
    if !done.findings.is_empty() && store::audit::is_gone(pool, key).await? {
        return Ok(());
    }
    report.runs += 1;
    report.rows += done.rows;
    report.events += done.events;
    let mut findings = done.findings;
    if let Some(window) = origin::window(&done.wrong) {
        let rows = store::audit::rows_of(pool, key, window);
        let rows: Vec<Row> = rows.try_collect().await?;
        findings.extend(origin::explain(&rows, &done.wrong));
    }
    findings.sort_by_key(|finding| finding.seq);
    for finding in findings {
        report.add(finding);
    }
    Ok(())
}

async fn find_runs_without_history(pool: &PgPool, report: &mut Report) -> Result<(), store::Error> {
    let mut after = Key::FIRST;
    loop {
        let page = store::audit::runs_without_history(pool, after, PAGE_ROWS).await?;
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
        shard: run.shard,
        run_id: RunId(run.run_id),
        seq: None,
        problem: Problem::WithoutHistory,
        sentence: "the run is in execution, but history has no row of it".to_owned(),
    }
}
