//! `coreason audit verify`: recomputes the hash chain of every run.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Subcommand;
use engine::audit::{Report, Scope};
use history::RunId;

use super::Error;
use crate::postgres;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Recompute the hash chain of every run and name each row that was changed, inserted, moved or removed.
    Verify(Verify),
}

#[derive(clap::Args)]
struct Verify {
    /// Where Postgres is; the embedded one of the data directory unless given.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The folder of the embedded Postgres.
    #[arg(long, env = "COREASON_DATA_DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
    /// Only this run.
    #[arg(long)]
    run_id: Option<RunId>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let Verb::Verify(verify) = self.verb;
        verify.run().await
    }
}

impl Verify {
    async fn run(self) -> Result<(), Error> {
        let scope = self.run_id.map_or(Scope::Everything, Scope::Run);
        let report = verify(self.database_url, self.data_dir, scope).await?;
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
pub(crate) async fn verify(
    database_url: Option<String>,
    data_dir: Option<PathBuf>,
    scope: Scope,
) -> Result<Report, Error> {
    if let Some(url) = database_url {
        return audited(&url, scope).await;
    }
    let data_dir = data_dir.unwrap_or_else(postgres::default_data_dir);
    let server = postgres::Server::start(postgres::Options {
        data_dir,
        bin_dir: None,
        port: None,
    })
    .await?;
    let report = audited(server.url(), scope).await;
    server.stop().await?;
    report
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
