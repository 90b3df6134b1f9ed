//! The check of what must always hold: the rules of `audit_rule`, on one snapshot of a live database.

use std::fmt;

use history::RunId;
use serde_json::Value;
use sqlx::PgPool;

use crate::store;

/// How many breaches of each rule [`check`] tells; the others are counted.
const SHOWN: u16 = 10;
/// Since ever, to Postgres.
const ALWAYS: &str = "-infinity";

/// A rule that must always hold, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub name: String,
    /// What must hold.
    pub meaning: String,
    /// How often it is broken.
    pub problems: u64,
    /// The first of these.
    pub examples: Vec<Breach>,
}

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The namespace, if it is known.
    pub namespace: Option<String>,
    /// The workflow, if it is known.
    pub workflow_id: Option<String>,
    /// The run.
    pub run_id: RunId,
    /// The event, if it is about one.
    pub event_id: Option<i64>,
    /// A sentence for people.
    pub sentence: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        write!(
            f,
            "{}/{} run {}",
            or_unknown(&self.namespace),
            or_unknown(&self.workflow_id),
            self.run_id
        )?;
        if let Some(event_id) = self.event_id {
            write!(f, " event {event_id}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}

/// Returns the rules that are broken in a database; none in a sound one.
///
/// # Errors
/// When the database fails.
pub async fn check(pool: &PgPool) -> Result<Vec<Rule>, store::Error> {
    let rules = rules(pool, None, SHOWN).await?.unwrap_or_default();
    Ok(rules.into_iter().filter(|rule| rule.problems > 0).collect())
}

/// Returns all rules and how they stand in the runs that were open at a moment or later, with so many breaches of each. The
/// moment is a text that Postgres understands, such as `yesterday`; nothing is returned when it does not.
///
/// # Errors
/// When the database fails, or the role may not read it.
pub async fn rules(
    pool: &PgPool,
    since: Option<&str>,
    shown: u16,
) -> Result<Option<Vec<Rule>>, store::Error> {
    let checked = store::check::check(pool, since.unwrap_or(ALWAYS), i32::from(shown)).await;
    checked
        .map_err(store::fit::if_unread)?
        .map(|rules| rules.into_iter().map(rule).collect())
        .transpose()
}

fn rule(checked: store::check::Checked) -> Result<Rule, store::Error> {
    let examples = checked
        .examples
        .as_array()
        .and_then(|examples| examples.iter().map(breach).collect())
        .ok_or_else(|| store::Error::Corrupt {
            table: "audit_check",
            row: checked.name.clone(),
            problem: format!("{} is no list of breaches", checked.examples),
        })?;
    Ok(Rule {
        name: checked.name,
        meaning: checked.meaning,
        problems: u64::try_from(checked.problems).unwrap_or(0),
        examples,
    })
}

fn breach(example: &Value) -> Option<Breach> {
    let text = |key: &str| example[key].as_str().map(str::to_owned);
    Some(Breach {
        namespace: text("namespace"),
        workflow_id: text("workflowId"),
        run_id: text("runId")?.parse().ok()?,
        event_id: example["eventId"].as_i64(),
        sentence: text("sentence")?,
    })
}
