//! `coreason workflow list`.

use std::io::Write as _;

use clap::{
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _},
    value_parser,
};
use serde::Deserialize;

use super::facts::{Facts, line};
use crate::{
    cli::{Error, session::Session},
    limits::LIST_PAGE_MAX,
    terminal::{Screen, Table, of_state},
    workflows::problem::Problem,
};

/// Every status that a run can have, as it is written elsewhere too.
fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new([
        PossibleValue::new("Running"),
        PossibleValue::new("Completed"),
        PossibleValue::new("Failed"),
        PossibleValue::new("Canceled").alias("cancelled"),
        PossibleValue::new("Terminated"),
        PossibleValue::new("ContinuedAsNew").aliases(["continued-as-new", "continued_as_new"]),
        PossibleValue::new("TimedOut").aliases(["timed-out", "timed_out"]),
    ])
}

/// Returns the status that was meant.
fn named(given: &str) -> String {
    let values = statuses();
    let known = values.possible_values().into_iter().flatten();
    let meant = known.into_iter().find(|value| value.matches(given, true));
    meant.map_or_else(|| given.to_owned(), |value| value.get_name().to_owned())
}

#[derive(clap::Args)]
pub(super) struct List {
    /// Only runs that this is true of, such as `WorkflowType = 'order' AND Amount > 100 ORDER BY StartTime`.
    #[arg(long, conflicts_with_all = ["workflow_type", "status"])]
    query: Option<String>,
    /// Only runs of this type.
    #[arg(long = "type", value_name = "TYPE")]
    workflow_type: Option<String>,
    /// Only runs with this status.
    #[arg(long, ignore_case = true, value_parser = statuses())]
    status: Option<String>,
    /// The most runs to show.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=i64::from(LIST_PAGE_MAX)))]
    limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    workflows: Vec<Row>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    workflow_id: String,
    run_id: String,
    workflow_type: String,
    status: String,
    started_at: String,
    closed_at: Option<String>,
    #[serde(default)]
    search_attributes: Facts,
    #[serde(default)]
    memo: Facts,
    problem: Option<Problem>,
}

/// A column that is there where a run has something in it.
const SEARCH_ATTRIBUTES: (&str, fn(&Row) -> &Facts) =
    ("SEARCH ATTRIBUTES", |row| &row.search_attributes);
const MEMO: (&str, fn(&Row) -> &Facts) = ("MEMO", |row| &row.memo);

impl List {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let mut query = vec![("pageSize", self.limit.to_string())];
        let given = [
            ("query", &self.query),
            ("type", &self.workflow_type),
            ("status", &self.status.as_deref().map(named)),
            ("cursor", &self.cursor),
        ];
        query.extend(
            given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.clone()?))),
        );
        let answer = session.client.get(&["workflows"], &query).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
            return Ok(());
        }
        let page: Page = answer.read()?;
        page.table().write(&mut out, Screen::stdout())?;
        if let Some(cursor) = page.next_cursor {
            writeln!(out, "more: --cursor {cursor}")?;
        }
        Ok(())
    }
}

impl Page {
    fn table(&self) -> Table {
        let mut facts = vec![SEARCH_ATTRIBUTES, MEMO];
        facts.retain(|(_, of)| self.workflows.iter().any(|row| !of(row).is_empty()));
        let mut heading = vec![
            "STATUS",
            "TYPE",
            "WORKFLOW ID",
            "RUN ID",
            "STARTED",
            "CLOSED",
        ];
        heading.extend(facts.iter().map(|(name, _)| name));
        heading.push("PROBLEM");
        let mut table = Table::new(&heading).coloured(0, of_state);
        for row in &self.workflows {
            let closed_at = row.closed_at.as_deref().map(seconds).unwrap_or_default();
            let mut cells = vec![
                row.status.clone(),
                row.workflow_type.clone(),
                row.workflow_id.clone(),
                row.run_id.clone(),
                seconds(&row.started_at),
                closed_at,
            ];
            cells.extend(
                facts
                    .iter()
                    .map(|(_, of)| line(of(row)).unwrap_or_default()),
            );
            let problem = row.problem.as_ref().map(|problem| problem.message.clone());
            cells.push(problem.unwrap_or_default());
            table.row(cells);
        }
        table
    }
}

/// Returns a moment without its fraction.
fn seconds(at: &str) -> String {
    at.split('.').next().unwrap_or(at).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_status_is_known_in_any_case() {
        for (given, meant) in [
            ("Running", "Running"),
            ("running", "Running"),
            ("TIMEDOUT", "TimedOut"),
            ("timed-out", "TimedOut"),
            ("CONTINUED_AS_NEW", "ContinuedAsNew"),
            ("cancelled", "Canceled"),
        ] {
            assert_eq!(named(given), meant);
        }
    }
}
