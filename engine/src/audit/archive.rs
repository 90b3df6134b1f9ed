//! The check of an object of an archive: a proof of a run in each line.

use std::{
    collections::BTreeSet,
    io::{self, BufRead},
};

use super::prove::{NotProved, Proof};
use crate::seal::PublicKey;

/// What was seen of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// How many runs it has.
    pub runs: u64,
    /// How many rows these have.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<NotArchived>,
}

/// A line that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct NotArchived {
    /// Which, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: NotProved,
}

/// Verifies each line of an object, to who trusts these keys.
///
/// # Errors
/// When it can't be read.
pub fn verify_archive(
    object: impl BufRead,
    keys: &[PublicKey],
) -> Result<ArchiveReport, io::Error> {
    let mut report = ArchiveReport::default();
    let mut run_ids = BTreeSet::new();
    for (line, text) in (1..).zip(object.lines()) {
        let Some(Proof::History(proof)) = Proof::read(&text?) else {
            let problem = NotProved::Unreadable("it is no history with its proof");
            report.findings.push(NotArchived { line, problem });
            continue;
        };
        if !run_ids.insert(proof.run_id) {
            let problem = NotProved::Twice(proof.run_id);
            report.findings.push(NotArchived { line, problem });
            continue;
        }
        report.runs += 1;
        report.rows += u64::try_from(proof.rows.len()).unwrap_or(u64::MAX);
        if let Err(problem) = Proof::History(proof).verify(keys) {
            report.findings.push(NotArchived { line, problem });
        }
    }
    if report.runs == 0 && report.findings.is_empty() {
        let problem = NotProved::Unreadable("it is empty");
        report.findings.push(NotArchived { line: 1, problem });
    }
    Ok(report)
}
