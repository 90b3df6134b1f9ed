//! What must be true after the demo.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Write as _},
    time::Duration,
};

use engine::audit::Report;

use super::{
    Error, Files,
    crash::Victim,
    files::{fed, shown, zero_separated},
    histories::Histories,
    index::{Entry, Index},
};
use crate::duration::Human;

/// How many differences a failed check names.
const NAMED_MAX: usize = 5;

/// The outcome of every check.
#[derive(Default)]
pub(super) struct Checks {
    lines: Vec<Line>,
    children: usize,
    events: usize,
}

struct Line {
    what: &'static str,
    found: String,
    wrong: Vec<String>,
}

impl Checks {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, what: &'static str, found: String, wrong: Vec<String>) {
        self.lines.push(Line { what, found, wrong });
    }

    /// Runs `find`, `wc` and `sha256sum`, and holds the index against what they say.
    pub(super) async fn against_commands(
        &mut self,
        files: &Files,
        index: &Index,
    ) -> Result<(), Error> {
        let approval = if index.approved {
            None
        } else {
            Some("no signal came in time".to_owned())
        };
        self.add(
            "approval",
            "by signal".to_owned(),
            approval.into_iter().collect(),
        );

        let now = Files::find(files.folder()).await?;
        let entries: BTreeMap<&str, &Entry> = index
            .files
            .iter()
            .map(|entry| (entry.path.as_str(), entry))
            .collect();
        let names = now.names();
        let missing = names
            .iter()
            .filter(|name| !entries.contains_key(name.as_str()))
            .map(|name| format!("{name} is missing"));
        let real: HashSet<&str> = names.iter().map(String::as_str).collect();
        let invented = entries
            .keys()
            .filter(|name| !real.contains(*name))
            .map(|name| format!("{name} is not there"));
        let mut wrong: Vec<String> = missing.chain(invented).collect();
        if index.files.len() != entries.len() {
            wrong.push(format!(
                "{} files are in the index twice",
                index.files.len() - entries.len()
            ));
        }
        self.add("find", format!("{} files", names.len()), wrong);

        let counts = counts(&now).await?;
        let comparable = words_comparable(&now).await?;
        let wrong = names.iter().zip(&counts).zip(&comparable).filter_map(
            |((name, &[lines, words, bytes]), words_too)| {
                let entry = entries.get(name.as_str())?;
                let equal = entry.lines == lines
                    && entry.bytes == bytes
                    && (entry.words == words || !words_too);
                (!equal).then(|| format!("{name}: index {entry:?}, wc {lines} {words} {bytes}"))
            },
        );
        let wrong = wrong.collect();
        let [lines, words, bytes] =
            [0, 1, 2].map(|column| counts.iter().map(|count| count[column]).sum::<u64>());
        self.add(
            "wc",
            format!("{lines} lines, {words} words, {bytes} bytes"),
            wrong,
        );

        let digests = digests(&now).await?;
        let wrong = names.iter().zip(&digests).filter_map(|(name, digest)| {
            let entry = entries.get(name.as_str())?;
            (entry.sha256 != *digest)
                .then(|| format!("{name}: index {}, sha256sum {digest}", entry.sha256))
        });
        self.add(
            "sha256sum",
            format!("{} digests", digests.len()),
            wrong.collect(),
        );
        Ok(())
    }

    /// Holds the histories against the files: each asked for once, completed once; and nothing that was read during
    /// the run is gone or changed.
    pub(super) fn of_histories(&mut self, files: &Files, seen: &Histories, now: &Histories) {
        self.children = now.children();
        self.events = now.events();
        let mut wrong = Vec::new();
        let inputs: HashSet<&str> = now.inputs().collect();
        let asked = now.inputs().count();
        if inputs.len() != asked || asked != files.len() {
            wrong.push(format!(
                "{} files, {asked} activities, {} of them different",
                files.len(),
                inputs.len()
            ));
        }
        let odd = now.completions().filter(|&times| times != 1).count();
        if odd > 0 {
            wrong.push(format!("{odd} activities are not completed exactly once"));
        }
        let lost = now.lost_since(seen);
        if lost > 0 {
            wrong.push(format!(
                "{lost} events that were read during the run are gone or changed"
            ));
        }
        self.add(
            "histories",
            format!(
                "{asked} files, each completed once; {} events",
                now.events()
            ),
            wrong,
        );
    }

    /// Takes over what the audit found.
    pub(super) fn of_audit(&mut self, report: &Report) {
        let wrong = report.findings.iter().map(ToString::to_string).collect();
        self.add(
            "audit verify",
            format!(
                "{} runs, {} rows, {} events",
                report.runs, report.rows, report.events
            ),
            wrong,
        );
    }

    /// Prints what was done and how each check went.
    pub(super) fn print(
        &self,
        files: &Files,
        took: Duration,
        kills: &[(Victim, usize)],
    ) -> Result<(), Error> {
        self.write(files, took, kills)
            .map_err(Error::io("write to the terminal"))
    }

    fn write(&self, files: &Files, took: Duration, kills: &[(Victim, usize)]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let (total, folder) = (files.len(), shown(files.folder().as_os_str()));
        let (children, took) = (self.children, Human(took));
        writeln!(
            out,
            "indexed {total} files of {folder} with {children} child workflows in {took}"
        )?;
        for (victim, done) in kills {
            writeln!(
                out,
                "  killed        {victim} when {done} of {total} files were on record"
            )?;
        }
        for line in &self.lines {
            let verdict = if line.wrong.is_empty() {
                "exact"
            } else {
                "WRONG"
            };
            writeln!(out, "  {:14}{verdict}  {}", line.what, line.found)?;
            for wrong in line.wrong.iter().take(NAMED_MAX) {
                writeln!(out, "      {}", crate::terminal::one_line(wrong))?;
            }
            if line.wrong.len() > NAMED_MAX {
                writeln!(out, "      and {} more", line.wrong.len() - NAMED_MAX)?;
            }
        }
        Ok(())
    }

    /// Fails when a check did.
    pub(super) fn passed(&self) -> Result<(), Error> {
        match self
            .lines
            .iter()
            .filter(|line| !line.wrong.is_empty())
            .count()
        {
            0 => Ok(()),
            wrong => Err(Error::Wrong(wrong)),
        }
    }
}

/// Returns lines, words and bytes of each file, as `wc` counts them.
async fn counts(files: &Files) -> Result<Vec<[u64; 3]>, Error> {
    let text = files.feed("wc", &["-lwc", "--files0-from=-"]).await?;
    let text = String::from_utf8_lossy(&text);
    let counts: Vec<_> = text.lines().take(files.len()).filter_map(numbers).collect();
    complete("wc", files, counts)
}

/// Says of which files `wc` counts words as the index does: from version 9.5 on it takes bytes that are no ASCII text for
/// characters of words.
async fn words_comparable(files: &Files) -> Result<Vec<bool>, Error> {
    let is_new = fed("wc", &["-w"], b"\xff").await? != "0";
    Ok(if is_new {
        files.are_ascii()
    } else {
        vec![true; files.len()]
    })
}

/// Reads the three numbers at the start of a line. `wc` quotes a name with a newline, so every file has one line.
fn numbers(line: &str) -> Option<[u64; 3]> {
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}

/// Returns the SHA-256 of each file, as `sha256sum` computes it.
async fn digests(files: &Files) -> Result<Vec<String>, Error> {
    let text = files
        .feed("xargs", &["-0", "-r", "sha256sum", "-z", "--"])
        .await?;
    let digest = |line: &std::ffi::OsString| line.to_string_lossy().chars().take(64).collect();
    complete(
        "sha256sum",
        files,
        zero_separated(&text).iter().map(digest).collect(),
    )
}

fn complete<T>(command: &'static str, files: &Files, lines: Vec<T>) -> Result<Vec<T>, Error> {
    if lines.len() == files.len() {
        return Ok(lines);
    }
    Err(Error::Command {
        command,
        problem: format!("{} answers for {} files", lines.len(), files.len()),
    })
}
