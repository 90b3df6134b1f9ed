//! Waiting for the end of a workflow, and saying how it ended.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PATIENCE, Session};
use crate::{
    cli::{Answer, Client, Error, Event, Waits},
    patience::Looks,
    workflows::problem::Problem,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    workflow_id: String,
    pub(super) run_id: Option<String>,
    status: String,
    pub(super) result: Option<Box<RawValue>>,
    failure: Option<Failure>,
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
pub(super) struct Failure {
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    cause: Option<Box<Failure>>,
}

impl Failure {
    /// Returns the failure and its causes in one line.
    pub(super) fn line(&self) -> String {
        let own = if self.kind.is_empty() {
            self.message.clone()
        } else {
            format!("{} ({})", self.message, self.kind)
        };
        match &self.cause {
            Some(cause) => format!("{own}: {}", cause.line()),
            None => own,
        }
    }
}

impl Outcome {
    /// Returns why it did not complete: its failure, or why somebody asked it to cancel.
    pub(super) async fn why(&self, client: &Client) -> Result<Option<String>, Error> {
        let reason = match self.status.as_str() {
            "Canceled" => cancel_reason(client, self).await?,
            _ => None,
        };
        Ok(reason.or_else(|| self.failure.as_ref().map(Failure::line)))
    }
}

/// Waits for the end and prints it; fails when the workflow did.
pub(super) async fn wait(
    session: &Session,
    workflow_id: &str,
    run_id: Option<&str>,
) -> Result<(), Error> {
    let client = session.client.clone().patient(PATIENCE);
    let (mut waits, mut looks) = (Waits::default(), Looks::new());
    loop {
        let mut query = vec![("wait", looks.wait())];
        query.extend(run_id.map(|run_id| ("runId", run_id.to_owned())));
        let answer = client
            .get(&["workflows", workflow_id, "result"], &query)
            .await?;
        let outcome: Outcome = answer.read()?;
        if outcome.status != "Running" {
            let why = outcome.why(&client).await?;
            return print(session.json, &answer, &outcome, why);
        }
        let open = outcome.run_id.as_deref();
        waits
            .tell(&client, workflow_id, open, outcome.problems, session.json)
            .await;
    }
}

/// Returns why somebody asked the workflow to cancel, if he said so: its end does not say it.
async fn cancel_reason(client: &Client, outcome: &Outcome) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        events: Vec<Box<RawValue>>,
        last_event_id: i64,
    }
    let path = ["workflows", &outcome.workflow_id, "history"];
    let mut after = 0;
    loop {
        let mut query = vec![
            ("after", after.to_string()),
            ("pageSize", "1000".to_owned()),
        ];
        query.extend(outcome.run_id.clone().map(|run_id| ("runId", run_id)));
        let page: Page = client.get(&path, &query).await?.read()?;
        if page.events.is_empty() {
            return Ok(None);
        }
        for text in &page.events {
            let event = Event::read(text)?;
            if event.name() == "WorkflowExecutionCancelRequested" {
                return Ok(event.attribute("cause"));
            }
        }
        after = page.last_event_id;
    }
}

fn print(json: bool, answer: &Answer, outcome: &Outcome, why: Option<String>) -> Result<(), Error> {
    let completed = outcome.status == "Completed";
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", answer.text)?;
    } else if completed {
        writeln!(
            out,
            "{}",
            outcome.result.as_deref().map_or("null", RawValue::get)
        )?;
    }
    if completed {
        return Ok(());
    }
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Err(Error::Workflow {
        workflow_id: outcome.workflow_id.clone(),
        ending: format!("ended as {}{why}", outcome.status),
    })
}
