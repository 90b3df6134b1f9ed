//! `coreason audit verify`: recomputes the hash chain of every run. `check.rs` beside it checks the rules.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Subcommand;
use engine::audit::{Report, Scope};
use history::RunId;

use super::{Error, check::Check};
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
    /// Check what must always hold: twenty-one rules, on a live database.
    Check(Check),
}

/// The database to be looked at.
#[derive(clap::Args)]
pub(super) struct Database {
    /// Where Postgres is; the embedded one of the data directory unless given.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The folder of the embedded Postgres.
    #[arg(long, env = "COREASON_DATA_DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Verify {
    #[command(flatten)]
    database: Database,
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
        let report = verify(self.database.database_url, self.database.data_dir, scope).await?;
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
    let database = Database {
        database_url,
        data_dir,
    };
    let reached = database.reach().await?;
    let report = audited(reached.url(), scope).await;
    reached.leave().await?;
    report
}

/// A Postgres that runs.
pub(super) enum Reached {
    Elsewhere(String),
    Embedded(postgres::Server),
}

impl Database {
    /// Returns where it is; the embedded one is started if need be.
    pub(super) async fn reach(self) -> Result<Reached, Error> {
        if let Some(url) = self.database_url {
            return Ok(Reached::Elsewhere(url));
        }
        let options = postgres::Options {
            data_dir: self.data_dir.unwrap_or_else(postgres::default_data_dir),
            bin_dir: None,
            port: None,
        };
        Ok(Reached::Embedded(postgres::Server::start(options).await?))
    }
}

impl Reached {
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Elsewhere(url) => url,
            Self::Embedded(server) => server.url(),
        }
    }

    /// Stops what was started.
    pub(super) async fn leave(self) -> Result<(), Error> {
        match self {
            Self::Elsewhere(_) => Ok(()),
            Self::Embedded(server) => Ok(server.stop().await?),
        }
    }
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
