//! `coreason audit verify`: recomputes the hash chain of every run. `check.rs` beside it checks the rules.

use std::io::{self, Write as _};

use clap::Subcommand;
use engine::audit::{Report, Scope};
use history::RunId;
use tokio::select;

use super::{Error, check::Check};
use crate::{dev::Shutdown, place::Place, postgres};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Recompute the hash chain of every run and name each row that was changed, inserted, moved or removed.
    Verify(Verify),
    /// Check what must always hold, on a live database, and name what breaks it.
    Check(Check),
}

#[derive(clap::Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only this run.
    #[arg(long)]
    run_id: Option<RunId>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self.verb {
            Verb::Verify(verify) => verify.run().await,
            Verb::Check(check) => check.run().await,
        }
    }
}

impl Verify {
    async fn run(self) -> Result<(), Error> {
        let scope = self.run_id.map_or(Scope::Everything, Scope::Run);
        let report = verify(self.place, scope).await?;
        // One whose rows are all gone was found, and is a finding.
        if let (Some(run_id), 0) = (self.run_id, report.runs) {
            return Err(Error::NoRun(run_id));
        }
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &as_json(&report)).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            for finding in &report.findings {
                writeln!(out, "{finding}")?;
            }
            writeln!(
                out,
                "{} runs, {} rows, {} events: {} problems",
                report.runs,
                report.rows,
                report.events,
                problems(&report)
            )?;
        }
        if report.is_sound() {
            Ok(())
        } else {
            Err(Error::AuditFailed(problems(&report)))
        }
    }
}

/// Audits a database: of that URL, or the embedded one of a data directory, which is started for it if need be.
pub(crate) async fn verify(place: Place, scope: Scope) -> Result<Report, Error> {
    on(place, |url| async move { audited(&url, scope).await }).await
}

/// Does something with a database; the embedded one is started for that if need be, and is there already.
pub(super) async fn on<T, F>(place: Place, work: impl FnOnce(String) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    if let Some(url) = place.url() {
        return work(url.to_owned()).await;
    }
    let options = postgres::Options {
        data_dir: place.data_dir(),
        missing: postgres::Missing::Refuse,
        bin_dir: None,
        port: None,
    };
    let mut shutdown = Shutdown::on_signals()?;
    let started = postgres::Server::start_unless(options, shutdown.clone().into_asked());
    let server = started.await?.ok_or(Error::Interrupted)?;
    let done = select! {
        done = Box::pin(work(server.url().to_owned())) => done,
        () = shutdown.asked() => Err(Error::Interrupted),
    };
    server.stop().await?;
    done
}

async fn audited(url: &str, scope: Scope) -> Result<Report, Error> {
    let pool = engine::audit::connect(url)
        .await
        .map_err(engine::Error::from)?;
    let report = engine::audit::verify(&pool, scope)
        .await
        .map_err(engine::Error::from)?;
    pool.close().await;
    Ok(report)
}

fn problems(report: &Report) -> u64 {
    report.findings.len() as u64 + report.more
}

fn as_json(report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    serde_json::json!({
        "runs": report.runs, "rows": report.rows, "events": report.events, "problems": problems(report), "findings": findings,
    })
}

fn finding(finding: &engine::audit::Finding) -> serde_json::Value {
    serde_json::json!({
        "code": finding.problem.code(), "shard": finding.shard, "runId": finding.run_id, "row": finding.seq,
        "sentence": finding.sentence,
    })
}
