//! `coreason audit check`: whether what must always hold does.

use std::io::{self, Write};

use engine::audit::{Breach, Rule};
use serde_json::{Value, json};

use super::Error;
use crate::{
    audit::{self, on},
    place::Place,
    terminal::{Screen, Table, one_line},
};

#[derive(clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
    /// Only runs that were open then or later: a moment as Postgres reads it, such as `yesterday` or `2026-11-23 04:00Z`.
    #[arg(long)]
    since: Option<String>,
    /// How many breaches of each rule to show; the others are counted.
    #[arg(long, default_value_t = 10)]
    show: u16,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<(), Error> {
        let json = self.json;
        // Whoever runs this each night must tell a database that is broken from one that could not be looked at.
        let unchecked = |error: Error| match error {
            Error::Usage(_) | Error::Audit(audit::Error::Interrupted) => error,
            error => Error::Unchecked(Box::new(error)),
        };
        let rules = self.rules().await.map_err(unchecked)?;
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &as_json(&rules)).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            write(&rules, &mut out)?;
        }
        match problems(&rules) {
            0 => Ok(()),
            problems => Err(Error::AuditFailed(problems)),
        }
    }

    async fn rules(self) -> Result<Vec<Rule>, Error> {
        let (since, show) = (self.since, self.show);
        let work = |url: String| async move { rules(&url, since.as_deref(), show).await };
        on(self.place, work).await
    }
}

async fn rules(url: &str, since: Option<&str>, shown: u16) -> Result<Vec<Rule>, Error> {
    let pool = engine::audit::connect(url)
        .await
        .map_err(engine::Error::from)?;
    let rules = engine::audit::rules(&pool, since, shown)
        .await
        .map_err(engine::Error::from)?;
    pool.close().await;
    rules.ok_or_else(|| {
        let since = since.unwrap_or_default();
        Error::Usage(format!(
            "--since {since:?} is no moment; write one like 2026-11-23T04:00:00Z, or yesterday"
        ))
    })
}

fn problems(rules: &[Rule]) -> u64 {
    rules.iter().map(|rule| rule.problems).sum()
}

fn write(rules: &[Rule], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(&["RULE", "PROBLEMS", "WHAT MUST HOLD"]);
    for rule in rules {
        table.row([
            rule.name.clone(),
            rule.problems.to_string(),
            rule.meaning.clone(),
        ]);
    }
    table.write(out, Screen::stdout())?;
    for rule in rules.iter().filter(|rule| rule.problems > 0) {
        writeln!(out, "\n{}", rule.name)?;
        for breach in &rule.examples {
            writeln!(out, "  {}", one_line(&breach.to_string()))?;
        }
        let more = rule.problems - rule.examples.len() as u64;
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
    }
    Ok(())
}

fn as_json(rules: &[Rule]) -> Value {
    let rules_json: Vec<Value> = rules.iter().map(rule).collect();
    json!({"problems": problems(rules), "rules": rules_json})
}

fn rule(rule: &Rule) -> Value {
    let examples: Vec<Value> = rule.examples.iter().map(breach).collect();
    json!({"name": rule.name, "meaning": rule.meaning, "problems": rule.problems, "examples": examples})
}

fn breach(breach: &Breach) -> Value {
    json!({
        "namespace": breach.namespace, "workflowId": breach.workflow_id, "runId": breach.run_id, "eventId": breach.event_id,
        "sentence": breach.sentence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_is_told_with_its_first_breaches() {
        let breach = Breach {
            namespace: Some("default".to_owned()),
            workflow_id: Some("order-17".to_owned()),
            run_id: "019f6a6e-0000-7000-8000-000000000001".parse().unwrap(),
            event_id: Some(6),
            sentence: "the timer of event 5 fired 00:00:01 early".to_owned(),
        };
        let rules = [
            Rule {
                name: "TIMER_EARLY".to_owned(),
                meaning: "No timer fires early.".to_owned(),
                problems: 3,
                examples: vec![breach],
            },
            Rule {
                name: "TIME_RAN_BACK".to_owned(),
                meaning: "Time goes on.".to_owned(),
                problems: 0,
                examples: Vec::new(),
            },
        ];
        let mut out = Vec::new();
        write(&rules, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "RULE           PROBLEMS  WHAT MUST HOLD\n\
             TIMER_EARLY    3         No timer fires early.\n\
             TIME_RAN_BACK  0         Time goes on.\n\
             \n\
             TIMER_EARLY\n  \
             default/order-17 run 019f6a6e-0000-7000-8000-000000000001 event 6: the timer of event 5 fired 00:00:01 early\n  \
             and 2 more\n"
        );
        assert_eq!(as_json(&rules)["problems"], 3);
    }
}
