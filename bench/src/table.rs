//! The tables, as Markdown.

use std::fmt::{Result, Write as _};

use crate::{
    meter::{Cost, InPostgres, Measured},
    open::Open,
    targets::Verdict,
};

/// One line.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Activities in a workflow.
    pub(crate) activities: Option<u32>,
    pub(crate) measured: Measured,
    /// What a bare script reaches in the same.
    pub(crate) limit: Option<f64>,
}

const HEAD: &str = "\
| what | workflows/s | activities/s | p50 ms | p99 ms | rows/wf | commits/wf | WAL bytes/wf | CPU ms/wf: engine, worker | Postgres | client | of the limit |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

/// Writes what was measured.
pub(crate) fn rows(out: &mut String, rows: &[Row]) -> Result {
    out.push_str(HEAD);
    for row in rows {
        line(out, row)?;
    }
    Ok(())
}

fn line(out: &mut String, row: &Row) -> Result {
    let Measured { figures, cost } = row.measured;
    let rate = row.measured.rate();
    write!(out, "| {} | {rate:.0} |", row.name)?;
    cell(out, row.activities.map(|n| rate * f64::from(n)), 0)?;
    cell(out, Some(figures.p50_ms), 2)?;
    cell(out, Some(figures.p99_ms), 2)?;
    let in_postgres =
        |what: fn(InPostgres) -> f64| cost.and_then(|cost| cost.in_postgres).map(what);
    cell(out, cost.and_then(|cost| cost.rows), 2)?;
    cell(out, in_postgres(|postgres| postgres.commits), 2)?;
    cell(out, in_postgres(|postgres| postgres.wal_bytes), 0)?;
    cell(out, cost.map(|Cost { engine_ms, .. }| engine_ms), 3)?;
    cell(out, in_postgres(|postgres| postgres.cpu_ms), 3)?;
    cell(out, cost.and_then(|cost| cost.client_ms), 3)?;
    cell(out, row.limit.map(|limit| rate / limit), 2)?;
    out.push('\n');
    Ok(())
}

fn cell(out: &mut String, value: Option<f64>, decimals: usize) -> Result {
    match value {
        Some(value) => write!(out, " {value:.decimals$} |"),
        None => write!(out, " – |"),
    }
}

/// Writes what was aimed at and what was reached.
pub(crate) fn targets(out: &mut String, verdicts: &[Verdict]) -> Result {
    if verdicts.is_empty() {
        return Ok(());
    }
    out.push_str("\n| target | ours | theirs | ratio | aimed at | |\n|---|--:|--:|--:|--:|---|\n");
    for verdict in verdicts {
        let Verdict {
            name,
            ours,
            theirs,
            ratio,
            aim,
        } = verdict;
        let reached = if aim.reached(*ratio) {
            "reached"
        } else {
            "**missed**"
        };
        writeln!(
            out,
            "| {name} | {ours:.2} | {theirs:.2} | {ratio:.2} | {aim} | {reached} |"
        )?;
    }
    Ok(())
}

/// Writes what open runs cost.
pub(crate) fn open(out: &mut String, open: &Open) -> Result {
    #[expect(clippy::cast_precision_loss, reason = "megabytes and a count")]
    let (mib, each) = (
        (open.after - open.before) as f64 / 1024.0 / 1024.0,
        (open.after - open.before) as f64 / open.runs as f64,
    );
    writeln!(
        out,
        "\n{} open runs, started in {:.1} s: {mib:.0} MiB resident more than before, {each:.0} bytes each.",
        open.runs,
        open.time.as_secs_f64()
    )
}
