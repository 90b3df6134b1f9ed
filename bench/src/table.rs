//! The table.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Result;

use crate::{load::Figures, open::Open};

/// One line.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Activities in a workflow.
    pub(crate) steps: Option<u32>,
    pub(crate) figures: Figures,
}

/// Prints the table as Markdown, with the ratio of each line to the limit.
pub(crate) fn print(rows: &[Row], open: Option<&Open>) -> Result<()> {
    let limit = rows
        .iter()
        .find(|row| row.name.starts_with("limit"))
        .map_or(0.0, |row| row.figures.rate());
    let mut text = String::from(
        "| what | workflows/s | activities/s | p50 ms | p99 ms | rows/wf | commits/wf | WAL bytes/wf | of the limit |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for Row {
        name,
        steps,
        figures,
    } in rows
    {
        let millis = |share| figures.quantile(share).as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let per_workflow =
            |count: Option<i64>| count.map(|count| count as f64 / figures.workflows.max(1) as f64);
        let rate = figures.rate();
        write!(text, "| {name} | {rate:.0} | ")?;
        match steps {
            Some(steps) => write!(text, "{:.0} | ", rate * f64::from(*steps))?,
            None => text.push_str("– | "),
        }
        write!(text, "{:.2} | {:.2} | ", millis(0.5), millis(0.99))?;
        match per_workflow(figures.rows) {
            Some(rows) => write!(text, "{rows:.2} | ")?,
            None => text.push_str("– | "),
        }
        match per_workflow(figures.batches) {
            Some(commits) => write!(text, "{commits:.2} | ")?,
            None => text.push_str("– | "),
        }
        match per_workflow(figures.wal_bytes) {
            Some(bytes) => write!(text, "{bytes:.0} | ")?,
            None => text.push_str("– | "),
        }
        match steps {
            Some(1) => writeln!(text, "{:.2} |", rate / limit)?,
            _ => text.push_str("– |\n"),
        }
    }
    if let Some(open) = open {
        #[expect(clippy::cast_precision_loss, reason = "megabytes and a count")]
        let (mib, each) = (
            (open.after - open.before) as f64 / 1024.0 / 1024.0,
            (open.after - open.before) as f64 / open.runs as f64,
        );
        writeln!(
            text,
            "\n{} open runs, started in {:.1} s: {mib:.0} MiB resident more than before, {each:.0} bytes each.",
            open.runs,
            open.time.as_secs_f64()
        )?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
