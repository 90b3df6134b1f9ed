//! `coreason audit verify`: recomputes the hash chain of every run. `check.rs` beside it checks the rules.

use std::io::{self, Write as _};

use clap::Subcommand;
use engine::audit::{Report, Scope};
use history::RunId;

use super::{Error, check::Check};
use crate::{audit::verify, place::Place};

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
