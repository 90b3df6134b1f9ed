//! `coreason audit verify`: whether stored histories are those that were committed, and those that were sealed.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

use engine::{
    audit::{Dump, Proof, Proved, Report, Scope, Summary, Trust},
    seal::{Note, PublicKey},
};
use history::{RunId, rfc3339::Utc};

use crate::{
    audit::{verify, verify_sealed},
    cli::Error,
    place::Place,
};

/// What a file begins with that zstd has compressed.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[derive(clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only this run.
    #[arg(long, conflicts_with_all = ["key", "offline"])]
    run_id: Option<RunId>,
    /// A public key that is trusted, or a file with some: compares what is there with what was sealed. May be given several times.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A dump in plain text (`coreason audit dump`, `pg_dump`), a proof (`coreason audit prove`), or an object of the archive, in the place of a
    /// database.
    #[arg(long, value_name = "FILE", requires = "key")]
    offline: Option<PathBuf>,
    /// A checkpoint that you have kept: what is there must still have all that was sealed by then.
    #[arg(long, value_name = "FILE", requires = "key")]
    checkpoint: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self) -> Result<(), Error> {
        let report = match (&self.offline, self.key.is_empty()) {
            (None, true) => {
                let scope = self.run_id.map_or(Scope::Everything, Scope::Run);
                verify(self.place, scope).await?
            }
            (None, false) => {
                let trust = self.trust()?;
                verify_sealed(self.place, trust).await?
            }
            (Some(file), _) => match Kind::of(file)? {
                Kind::Proof(proof) => return self.verify_proof(&proof),
                Kind::Archive(object) => return self.verify_archive(file, object),
                Kind::Dump => {
                    let dump = Dump::open(file).map_err(engine::Error::from)?;
                    let verified = engine::audit::verify_dump(&dump, &self.trust()?).await;
                    verified.map_err(engine::Error::from)?
                }
            },
        };
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
            if let Some(sealed) = &report.sealed {
                writeln!(out, "{}", sentence(sealed))?;
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

    /// Returns who is trusted.
    fn trust(&self) -> Result<Trust, Error> {
        let checkpoint = self.checkpoint.as_deref().map(|file| {
            let note: Result<Note, _> = read(file)?.parse();
            note.map_err(|error| Error::Usage(format!("--checkpoint {}: {error}", file.display())))
        });
        Ok(Trust {
            keys: keys(&self.key)?,
            checkpoint: checkpoint.transpose()?,
        })
    }

    /// A proof has a checkpoint of its own.
    fn without_checkpoint(&self) -> Result<(), Error> {
        match self.checkpoint {
            Some(_) => Err(Error::Usage(
                "--checkpoint is held against a database or a dump; a proof has one of its own, and `coreason audit prove-consistency` proves that one goes on from another".to_owned(),
            )),
            None => Ok(()),
        }
    }

    fn verify_archive(&self, file: &Path, object: Box<dyn BufRead>) -> Result<(), Error> {
        self.without_checkpoint()?;
        let verified = engine::audit::verify_archive(object, &keys(&self.key)?);
        let report = verified.map_err(|problem| Error::Unreadable {
            file: file.to_owned(),
            problem,
        })?;
        let mut out = io::stdout().lock();
        if self.json {
            let findings: Vec<_> = (report.findings.iter())
                .map(|finding| serde_json::json!({"line": finding.line, "sentence": finding.problem.to_string()}))
                .collect();
            let said = serde_json::json!({
                "runs": report.runs, "rows": report.rows, "problems": findings.len(), "findings": findings,
            });
            serde_json::to_writer(&mut out, &said).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            for finding in &report.findings {
                writeln!(out, "{finding}")?;
            }
            let problems = report.findings.len();
            writeln!(
                out,
                "{} runs, {} rows: {problems} problems",
                report.runs, report.rows
            )?;
        }
        match report.findings.len() {
            0 => Ok(()),
            problems => Err(Error::AuditFailed(problems as u64)),
        }
    }

    fn verify_proof(&self, proof: &Proof) -> Result<(), Error> {
        self.without_checkpoint()?;
        let proved = proof.verify(&keys(&self.key)?)?;
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &proof_as_json(proof, &proved))
                .map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", proof_sentence(proof, &proved))?;
        }
        Ok(())
    }
}

/// Reads keys: each one as such, or a file with a line for each.
fn keys(given: &[String]) -> Result<Vec<PublicKey>, Error> {
    let mut keys = Vec::new();
    for given in given {
        if given.starts_with("PRIVATE+KEY+") {
            return Err(Error::Usage(
                "--key: this is a secret key; give the public one, which `coreason audit key` shows".to_owned(),
            ));
        }
        let known = keys.len();
        if let Ok(key) = given.parse() {
            keys.push(key);
            continue;
        }
        let file = read(Path::new(given)).map_err(|error| {
            Error::Usage(format!(
                "--key {given}: this is neither a public key, as `coreason audit key` shows it, nor a file with some: {error}"
            ))
        })?;
        for line in file.lines().filter(|line| !line.trim().is_empty()) {
            let key = line.parse();
            keys.push(key.map_err(|error| Error::Usage(format!("--key {given}: {error}")))?);
        }
        if keys.len() == known {
            return Err(Error::Usage(format!(
                "--key {given}: there is no key in this file"
            )));
        }
    }
    Ok(keys)
}

fn read(file: &Path) -> Result<String, Error> {
    let failed = |error: io::Error| Error::Usage(format!("{}: {error}", file.display()));
    fs::read_to_string(file).map_err(failed)
}

/// What a file has.
enum Kind {
    Proof(Box<Proof>),
    /// An object of an archive, with a proof in each line.
    Archive(Box<dyn BufRead>),
    Dump,
}

impl Kind {
    fn of(file: &Path) -> Result<Self, Error> {
        let failed =
            |error: io::Error| Error::Usage(format!("--offline {}: {error}", file.display()));
        let mut object = BufReader::new(fs::File::open(file).map_err(failed)?);
        let first = object.fill_buf().map_err(failed)?;
        if first.starts_with(&ZSTD) {
            let object = zstd::Decoder::with_buffer(object).map_err(failed)?;
            return Ok(Self::Archive(Box::new(BufReader::new(object))));
        }
        if !first.starts_with(b"{") {
            return Ok(Self::Dump);
        }
        // A line that is whole is one of several, unless it is what no archive has.
        if first.starts_with(b"{\"") {
            let mut line = String::new();
            object.read_line(&mut line).map_err(failed)?;
            return Ok(match Proof::read(&line) {
                Some(proof @ Proof::Consistency(_)) => Self::Proof(Box::new(proof)),
                _ => Self::Archive(Box::new(io::Cursor::new(line).chain(object))),
            });
        }
        let proof = Proof::read(&read(file)?).map(|proof| Self::Proof(Box::new(proof)));
        proof.ok_or_else(|| {
            Error::Usage(format!(
                "--offline {}: this is no proof that `coreason audit` has written",
                file.display()
            ))
        })
    }
}

fn problems(report: &Report) -> u64 {
    report.findings.len() as u64 + report.more
}

fn sentence(sealed: &Summary) -> String {
    let until = sealed.complete_until.map_or_else(
        || "some time ago".to_owned(),
        |until| Utc(until).to_string(),
    );
    let replaces = sealed.replaces.map_or_else(String::new, |(log, at)| {
        format!(" (begun at {} in the place of log {log})", Utc(at))
    });
    let gaps = match sealed.gaps {
        0 => String::new(),
        gaps => format!(
            "; {gaps} checkpoints have a gap: what was committed since the one before that had all was sealed late"
        ),
    };
    let set_back = match sealed.clock_set_back {
        0 => String::new(),
        times => format!(
            "; the database's clock was set back {times} times: what was sealed next may be as old as it says"
        ),
    };
    format!(
        "{} checkpoints, {} entries{replaces}: all that was committed before {until} is sealed; {} rows are younger; of {} deletions nothing can be said{gaps}{set_back}",
        sealed.checkpoints, sealed.entries, sealed.rows_not_sealed, sealed.deletions_not_checked
    )
}

fn proof_sentence(proof: &Proof, proved: &Proved) -> String {
    let at = Utc(proved.checkpoint.at);
    let key = &proved.key;
    match proof {
        Proof::History(history) => format!(
            "the history of workflow {} in namespace {}, run {}, is as it was sealed by {at} ({} rows), says {key}",
            history.workflow_id,
            history.namespace,
            history.run_id,
            history.rows.len()
        ),
        Proof::Consistency(_) => {
            let since = proved.since.map(Utc).map(|at| at.to_string());
            format!(
                "the log was only appended to from {} to {at}, says {key}",
                since.unwrap_or_default()
            )
        }
    }
}

fn proof_as_json(proof: &Proof, proved: &Proved) -> serde_json::Value {
    let run_id = match proof {
        Proof::History(history) => Some(history.run_id),
        Proof::Consistency(_) => None,
    };
    serde_json::json!({
        "proved": true, "runId": run_id, "sealedBy": Utc(proved.checkpoint.at).to_string(),
        "since": proved.since.map(|at| Utc(at).to_string()), "key": proved.key.to_string(), "entries": proved.checkpoint.size,
    })
}

fn as_json(report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    let sealed = report.sealed.as_ref().map(|sealed| {
        serde_json::json!({
            "checkpoints": sealed.checkpoints, "entries": sealed.entries,
            "replaces": sealed.replaces.map(|(log, at)| serde_json::json!({"log": log, "at": Utc(at).to_string()})),
            "gaps": sealed.gaps, "clockSetBack": sealed.clock_set_back,
            "completeUntil": sealed.complete_until.map(|until| Utc(until).to_string()),
            "rowsNotSealed": sealed.rows_not_sealed, "deletionsNotChecked": sealed.deletions_not_checked,
        })
    });
    serde_json::json!({
        "runs": report.runs, "rows": report.rows, "events": report.events, "problems": problems(report), "findings": findings,
        "sealed": sealed,
    })
}

fn finding(finding: &engine::audit::Finding) -> serde_json::Value {
    serde_json::json!({
        "code": finding.problem.code(), "shard": finding.run.map(|run| run.shard), "runId": finding.run.map(|run| run.run_id),
        "row": finding.seq, "sentence": finding.sentence,
    })
}
